/* Configurations from files, the environment and flags: what wins, what is refused and how it is said, and what a reload does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "config/config.h"
#include "os/os.h"
#include "os/sim.h"

struct world {
	struct pd_os *os;
	struct pd_config *config;
	struct pd_config_problems problems;
	const char *flags[PD_SETTING_COUNT];
	char said[8192]; /* problems, "LINE: text" each */
};

static int set_up(void **state)
{
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct world *world = calloc(1, sizeof *world);
	struct pd_error err;

	assert_non_null(world);
	assert_int_equal(pd_os_sim_new(&machine, &world->os, &err), 0);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	pd_config_free(world->config);
	pd_config_problems_done(&world->problems);
	pd_os_free(world->os);
	free(world);
	return 0;
}

static void write_bytes(struct world *world, const char *path, const void *bytes, size_t size)
{
	struct pd_os_file *file;
	struct pd_error err;

	assert_int_equal(pd_os_open(world->os, path, PD_OS_WRITE | PD_OS_CREATE, &file, &err), 0);
	assert_int_equal(pd_os_resize(file, 0, &err), 0);
	assert_int_equal(pd_os_write(file, bytes, size, 0, &err), 0);
	pd_os_close(file);
}

static void gather(struct world *world)
{
	size_t at = 0;

	world->said[0] = '\0';
	for (size_t i = 0; i < world->problems.count && at < sizeof world->said; i++)
		at += (size_t)snprintf(world->said + at, sizeof world->said - at, "%s%u: %s",
				       i > 0 ? "\n" : "", world->problems.items[i].line,
				       world->problems.items[i].text);
}

static void load(struct world *world, const char *path, char *const *environment)
{
	struct pd_config_sources sources = {
		.os = world->os, .file = path, .environment = environment, .flags = world->flags
	};
	struct pd_error err;

	pd_config_free(world->config);
	pd_config_problems_done(&world->problems);
	assert_int_equal(pd_config_new(&sources, &world->config, &world->problems, &err), 0);
	gather(world);
}

static void load_text(struct world *world, const char *path, const char *text)
{
	write_bytes(world, path, text, strlen(text));
	load(world, path, NULL);
}

/* ---- who wins ---- */

static void test_order(void **state)
{
	char resp[] = "PERDURE_RESP=2", budget[] = "PERDURE_MEMORY_BUDGET=256MiB", other[] = "HOME=/";
	char *const environment[] = { resp, budget, other, NULL };
	struct world *world = *state;
	char origin[PD_ORIGIN_TEXT_SIZE];

	world->flags[PD_SETTING_RESP] = "3";
	write_bytes(world, "c.toml",
		    "[server]\nresp = 1\n\n[memory]\nbudget = \"128MiB\"\n[log]\nqueue-depth = 4\n", 68);
	load(world, "c.toml", environment);
	assert_string_equal(world->said, "");
	assert_int_equal(pd_config_number(world->config, PD_SETTING_RESP), 3);
	assert_int_equal(pd_config_number(world->config, PD_SETTING_MEMORY_BUDGET), 256 << 20);
	assert_int_equal(pd_config_number(world->config, PD_SETTING_QUEUE_DEPTH), 4);
	pd_config_origin_text(world->config, PD_SETTING_RESP, origin);
	assert_string_equal(origin, "--resp");
	pd_config_origin_text(world->config, PD_SETTING_MEMORY_BUDGET, origin);
	assert_string_equal(origin, "PERDURE_MEMORY_BUDGET");
	pd_config_origin_text(world->config, PD_SETTING_QUEUE_DEPTH, origin);
	assert_string_equal(origin, "c.toml:7");
	pd_config_origin_text(world->config, PD_SETTING_DATA, origin);
	assert_string_equal(origin, "default");
}

static void test_both_formats_say_the_same(void **state)
{
	struct world *world = *state;
	char origin[PD_ORIGIN_TEXT_SIZE];

	load_text(world, "c.json",
		  "{ \"server\": { \"data\": \"/a \\\"b\\\\\",\n \"accept-damage\": false },\n"
		  "  \"retention\": {\"time\": \"2h\",\n\"size\": 4096 } }");
	assert_string_equal(world->said, "");
	assert_string_equal(pd_config_text(world->config, PD_SETTING_DATA), "/a \"b\\");
	assert_int_equal(pd_config_number(world->config, PD_SETTING_RETENTION_TIME), 2 * 3600 * 1000);
	assert_int_equal(pd_config_number(world->config, PD_SETTING_RETENTION_SIZE), 4096);
	pd_config_origin_text(world->config, PD_SETTING_RETENTION_SIZE, origin);
	assert_string_equal(origin, "c.json:4");
	load_text(world, "c.toml",
		  "server = { data = '/a \"b\\', accept-damage = false }\nretention.time = "
		  "\"2h\"\nretention.size = 4_096\n");
	assert_string_equal(world->said, "");
	assert_string_equal(pd_config_text(world->config, PD_SETTING_DATA), "/a \"b\\");
	assert_int_equal(pd_config_number(world->config, PD_SETTING_RETENTION_SIZE), 4096);
}

static void test_memory_chooses_its_level(void **state)
{
	struct world *world = *state;

	world->flags[PD_SETTING_MEMORY] = "yes";
	load(world, NULL, NULL);
	assert_int_equal(world->problems.errors, 0);
	assert_string_equal(pd_config_text(world->config, PD_SETTING_DURABILITY), "none");
	world->flags[PD_SETTING_DURABILITY] = "strict";
	load(world, NULL, NULL);
	assert_int_equal(world->problems.errors, 1);
}

static void test_misspelt_variables(void **state)
{
	char near[] = "PERDURE_RETENTON_TIME=1", config[] = "PERDURE_CONFIG=x",
	     other[] = "PERDURE_SERVICE_HOST=1.2.3.4";
	char *const environment[] = { near, config, other, NULL };
	struct world *world = *state;

	load(world, NULL, environment);
	assert_string_equal(world->said, "0: PERDURE_RETENTON_TIME is no setting and does nothing; did you "
					 "mean PERDURE_RETENTION_TIME?");
	assert_int_equal(world->problems.errors, 0);
}

/* ---- what is wrong, all at once ---- */

static void test_all_errors_at_once(void **state)
{
	struct world *world = *state;

	load_text(world, "c.toml",
		  "[server]\n"
		  "resp = 70000\n"
		  "rsep = 3\n"
		  "data = 5\n"
		  "memory = \"perhaps\"\n"
		  "bind = \"example.org\"\n"
		  "[memoy]\n"
		  "x = 1\n"
		  "[retention]\n"
		  "time = 1979-05-27\n"
		  "size = [1]\n"
		  "[durability]\n"
		  "level = true\n"
		  "[log]\n"
		  "queue-depth = 3.5\n"
		  "segment-size = 5000001\n"
		  "[server.pg]\n"
		  "x.y.z = 1\n"
		  "[compaction]\n"
		  "memory-budget = \"1GiB\"\n");
	assert_string_equal(
		world->said,
		"2: server.resp 70000 is out of range: 0 to 65535\n"
		"3: there is no setting server.rsep; did you mean server.resp?\n"
		"4: server.data is a text in quotes, not 5\n"
		"5: server.memory is yes or no, not \"perhaps\"\n"
		"6: server.bind is a numeric address, 127.0.0.1 or ::1, not a name: \"example.org\"\n"
		"8: there is no setting memoy.x\n"
		"10: retention.time is one value: a text, a whole number, true or false\n"
		"11: retention.size is one value: a text, a whole number, true or false\n"
		"13: durability.level is a text in quotes, not true\n"
		"15: log.queue-depth is one value: a text, a whole number, true or false\n"
		"16: log.segment-size is a multiple of 4KiB\n"
		"18: there is no setting server.pg.x.y.z\n"
		"20: there is no setting compaction.memory-budget; did you mean memory.budget?");
	assert_int_equal(world->problems.errors, 13);
}

static void test_json_lines(void **state)
{
	struct world *world = *state;

	load_text(world, "c.json",
		  "{\n\"a\\\"b\\\\\": [ {\"c\": 1,\n\"d\": {\"e\": \"f\\\":\" } } ],\n"
		  "\"server\" :\n{\n\"resp\"\n:\n-1 }, \"memory\": 3, \"log\": { \"x y\": null, \"\": 1 } }");
	assert_string_equal(world->said, "2: there is no setting a\"b\\\n"
					 "6: server.resp -1 is out of range: 0 to 65535\n"
					 "8: memory is a table: settings go into it\n"
					 "8: there is no setting log.x?y\n"
					 "8: there is no setting log.");
}

static void test_not_the_format(void **state)
{
	static const struct {
		const char *path, *text, *said;
	} rows[] = {
		{ "c.toml", "[server]\nresp = 1\nresp = 2\n", "3: this is not TOML: " },
		{ "c.toml", "[server]\n[server]\n", "2: this is not TOML: " },
		{ "c.toml", "[server\n", "1: this is not TOML: " },
		{ "c.toml", "a = \"\xff\xfe\"\n", "1: this is not TOML: " },
		{ "c.json", "{\"server\": 1,\n\"server\": 2}", "2: this is not JSON: duplicate object key" },
		{ "c.json", "[]", "1: the file is one object" },
		{ "c.json", "", "1: this is not JSON: " },
		{ "c.json", "{\"server\": {\"data\": \"a\\u0000b\"}}", "1: this is not JSON: " },
		{ "c.json", "{} {}", "1: this is not JSON: " },
	};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		load_text(world, rows[i].path, rows[i].text);
		if (strncmp(world->said, rows[i].said, strlen(rows[i].said)) != 0)
			fail_msg("%s: \"%s\"", rows[i].text, world->said);
		assert_int_equal(world->problems.errors, 1);
	}
	load_text(world, "c.toml", "");
	assert_string_equal(world->said, "");
	load_text(world, "c.json", "{}");
	assert_string_equal(world->said, "");
}

static void repeat(char *text, size_t *size, const char *piece, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		memcpy(text + *size, piece, strlen(piece));
		*size += strlen(piece);
	}
}

/* ---- backups ---- */

static void test_backups(void **state)
{
	struct world *world = *state;

	load_text(world, "c.toml",
		  "[backup]\nrepository = \"/vault\"\nfull = \"0 3 * * 0\"\nlog = \"*/5 * * * *\"\n"
		  "expire = \"@daily\"\nkeep-daily = 7\nkeep-for = \"30d\"\n");
	assert_string_equal(world->said, "");
	load_text(world, "c.toml",
		  "[backup]\nfull = \"0 3 * * 0\"\nlog = \"0 0 30 2 *\"\nincremental = \"hourly\"\n"
		  "expire = \"61 * * * *\"\n");
	assert_int_equal(world->problems.errors, 8);
	assert_non_null(strstr(world->said, "2: backup.full needs --backup-repository"));
	assert_non_null(strstr(world->said, "3: backup.log cannot be understood: \"0 0 30 2 *\" is never"));
	assert_non_null(
		strstr(world->said, "4: backup.incremental cannot be understood: \"hourly\" is no schedule"));
	assert_non_null(
		strstr(world->said, "5: backup.expire cannot be understood: \"61\" is no minute: 0 to 59"));
	assert_non_null(strstr(world->said, "5: backup.expire needs a rule of what stays"));
	load_text(world, "c.toml",
		  "[server]\nmemory = true\n[backup]\nrepository = \"vault\"\nkeep = 3\nkey-file = \"a\"\n"
		  "passphrase-file = \"b\"\n");
	assert_int_equal(world->problems.errors, 3);
	assert_non_null(strstr(world->said, "4: backup.repository is a path from / on"));
	assert_non_null(strstr(world->said, "4: backup.repository has no use with --memory"));
	assert_non_null(strstr(world->said, "4: backup.repository alone makes no backup"));
	assert_non_null(strstr(world->said, "5: backup.keep counts with --backup-expire alone"));
	assert_non_null(
		strstr(world->said, "7: backup.passphrase-file and --backup-key-file are both given"));
	load_text(world, "c.toml",
		  "[backup]\nrepository = \"s3://bucket/there\"\ndifferential = \"@daily\"\n");
	assert_string_equal(world->said, "");
}

static void test_hostile_files(void **state)
{
	static char text[PD_CONFIG_FILE_MAX + 64];
	struct world *world = *state;
	size_t size = 0;

	/* Larger than any configuration. */
	memset(text, '#', sizeof text);
	write_bytes(world, "c.toml", text, sizeof text);
	load(world, "c.toml", NULL);
	assert_non_null(strstr(world->said, "more than 1MiB"));
	/* NULs. */
	write_bytes(world, "c.toml", "a = 1\0\n", 7);
	load(world, "c.toml", NULL);
	assert_int_equal(world->problems.errors, 1);
	write_bytes(world, "c.toml", "[server]\ndata = \"a\\u0000b\"\n", 27);
	load(world, "c.toml", NULL);
	assert_string_equal(world->said, "2: server.data has a control character (0x00) in it; take it out");
	/* Deep. */
	repeat(text, &size, "{\"a\":", 100000);
	write_bytes(world, "c.json", text, size);
	load(world, "c.json", NULL);
	assert_int_equal(world->problems.errors, 1);
	size = 0;
	repeat(text, &size, "{\"a\":", 1000);
	repeat(text, &size, "1", 1);
	repeat(text, &size, "}", 1000);
	write_bytes(world, "c.json", text, size);
	load(world, "c.json", NULL);
	assert_int_equal(world->problems.errors, 1);
	size = 0;
	repeat(text, &size, "a = ", 1);
	repeat(text, &size, "[", 200000);
	write_bytes(world, "c.toml", text, size);
	load(world, "c.toml", NULL);
	assert_int_equal(world->problems.errors, 1);
	size = 0;
	repeat(text, &size, "a", 1);
	repeat(text, &size, ".a", 2000);
	repeat(text, &size, " = 1\n", 1);
	write_bytes(world, "c.toml", text, size);
	load(world, "c.toml", NULL);
	assert_int_equal(world->problems.errors, 1);
	size = 0;
	repeat(text, &size, "[a", 1);
	repeat(text, &size, ".a", 200000);
	repeat(text, &size, "]\n", 1);
	write_bytes(world, "c.toml", text, size);
	load(world, "c.toml", NULL);
	assert_string_equal(world->said,
			    "1: there are more than 32 dots in this line, which no setting needs");
	/* Both ways of going deep, as far as they go. */
	size = 0;
	for (int i = 0; i < 250; i++) {
		repeat(text, &size, i == 0 ? "a" : "[{a", 1);
		repeat(text, &size, ".a", 31);
		repeat(text, &size, "=\n", 1);
	}
	repeat(text, &size, "1", 1);
	repeat(text, &size, "}]", 249);
	write_bytes(world, "c.toml", text, size);
	load(world, "c.toml", NULL);
	assert_true(world->problems.errors >= 1);
	/* Wide: no more is kept than somebody would read, and all is counted. */
	size = 0;
	for (int i = 0; i < 5000; i++)
		size += (size_t)snprintf(text + size, 16, "k%d = 1\n", i);
	write_bytes(world, "c.toml", text, size);
	load(world, "c.toml", NULL);
	assert_int_equal(world->problems.count, PD_CONFIG_PROBLEMS_MAX);
	assert_int_equal(world->problems.errors, 5000);
	/* Nothing there. */
	load(world, "not-there.toml", NULL);
	assert_int_equal(world->problems.errors, 1);
}

static void test_every_allocation_may_fail(void **state)
{
	struct world *world = *state;

	write_bytes(world, "c.toml", "[server]\nresp = 1\ndata = 'x'\n", 29);
	for (unsigned long n = 1; n < 200; n++) {
		struct pd_config_sources sources = { .os = world->os,
						     .file = "c.toml",
						     .flags = world->flags };
		struct pd_config_problems problems = { 0 };
		struct pd_config *config = NULL;
		struct pd_error err;
		int result;

		pd_memory_fail(n, 0);
		result = pd_config_new(&sources, &config, &problems, &err);
		pd_memory_fail(0, 0);
		/* Either all of it was understood, or it is said that it was not. */
		if (result == 0 && problems.errors == 0)
			assert_int_equal(pd_config_number(config, PD_SETTING_RESP), 1);
		else if (result != 0)
			assert_int_equal(result, PD_NO_MEMORY);
		pd_config_problems_done(&problems);
		pd_config_free(config);
	}
}

static void test_warnings(void **state)
{
	struct world *world = *state;

	load_text(world, "c.toml",
		  "[durability]\nlevel = \"standard\"\nsync-interval = \"2s\"\n[retention]\ntime = 0\nsize = "
		  "0\n");
	assert_string_equal(
		world->said,
		"2: durability.level standard: a power cut may lose the acknowledged writes of the last 2s\n"
		"5: retention.time and the size are 0: nothing of the past is kept, and there is no older "
		"state to go "
		"back to when the present one is damaged");
	assert_int_equal(world->problems.errors, 0);
	assert_int_equal(world->problems.warnings, 2);
}

/* ---- while the server runs ---- */

struct host {
	int calls;
	int result;
	int64_t clients;
};

static int apply(void *context, enum pd_setting_id id, const struct pd_setting_value *value,
		 struct pd_error *err)
{
	struct host *host = context;

	host->calls++;
	if (id == PD_SETTING_MAX_CLIENTS)
		host->clients = value->number;
	return host->result == 0 ? 0 : pd_error_set(err, host->result, "no more than that");
}

static void test_change(void **state)
{
	struct world *world = *state;
	struct host host = { 0 };
	struct pd_error err;
	char origin[PD_ORIGIN_TEXT_SIZE];

	load(world, NULL, NULL);
	pd_config_attach(world->config, &(struct pd_config_host){ &host, apply });
	assert_int_equal(pd_config_change(world->config, PD_SETTING_MAX_CLIENTS, pd_slice_string("5"), &err),
			 0);
	assert_int_equal(host.clients, 5);
	assert_int_equal(pd_config_number(world->config, PD_SETTING_MAX_CLIENTS), 5);
	pd_config_origin_text(world->config, PD_SETTING_MAX_CLIENTS, origin);
	assert_string_equal(origin, "CONFIG SET");
	assert_int_equal(pd_config_change(world->config, PD_SETTING_MAX_CLIENTS, pd_slice_string("0"), &err),
			 PD_INVALID);
	assert_string_equal(err.text, "the value 0 is out of range: 1 to 1000000");
	host.result = PD_INVALID;
	assert_int_equal(pd_config_change(world->config, PD_SETTING_MAX_CLIENTS, pd_slice_string("7"), &err),
			 PD_INVALID);
	assert_int_equal(pd_config_number(world->config, PD_SETTING_MAX_CLIENTS), 5);
	host.calls = 0;
	assert_int_equal(pd_config_change(world->config, PD_SETTING_RESP, pd_slice_string("7"), &err),
			 PD_INVALID);
	assert_string_equal(
		err.text,
		"it needs a restart: put server.resp into the configuration file, or start with --resp");
	assert_int_equal(pd_config_change(world->config, PD_SETTING_RESP, pd_slice_string("7379"), &err), 0);
	assert_int_equal(host.calls, 0);
}

static void reload(struct world *world, const char *text)
{
	struct pd_error err;

	write_bytes(world, "c.toml", text, strlen(text));
	pd_config_problems_done(&world->problems);
	assert_int_equal(pd_config_reload(world->config, &world->problems, &err), 0);
	gather(world);
}

static void test_reload(void **state)
{
	struct world *world = *state;
	struct host host = { 0 };
	struct pd_error err;

	load_text(world, "c.toml", "[server]\nmax-clients = 10\n");
	pd_config_attach(world->config, &(struct pd_config_host){ &host, apply });
	/* Nothing new. */
	reload(world, "[server]\nmax-clients = 10\n");
	assert_string_equal(world->said, "");
	/* Something new, and something that cannot be. */
	reload(world, "[server]\nmax-clients = 20\nresp = 1\n");
	assert_string_equal(
		world->said,
		"2: server.max-clients is 20 now\n3: server.resp = 1 needs a restart of the server");
	assert_int_equal(host.clients, 20);
	assert_int_equal(pd_config_number(world->config, PD_SETTING_RESP), 7379);
	/* CONFIG SET stays until the file says something new. */
	assert_int_equal(pd_config_change(world->config, PD_SETTING_MAX_CLIENTS, pd_slice_string("30"), &err),
			 0);
	reload(world, "[server]\nmax-clients = 20\n");
	assert_int_equal(pd_config_number(world->config, PD_SETTING_MAX_CLIENTS), 30);
	reload(world, "[server]\nmax-clients = 40\n");
	assert_int_equal(pd_config_number(world->config, PD_SETTING_MAX_CLIENTS), 40);
	/* What cannot be understood changes nothing. */
	reload(world, "[server]\nmax-clients = 50\nx = 1\n");
	assert_int_equal(world->problems.errors, 1);
	assert_int_equal(pd_config_number(world->config, PD_SETTING_MAX_CLIENTS), 40);
	/* What is not there any more goes back to the default. */
	reload(world, "");
	assert_int_equal(pd_config_number(world->config, PD_SETTING_MAX_CLIENTS), 10000);
	/* What the host refuses stays, and is said. */
	host.result = PD_INVALID;
	reload(world, "[server]\nmax-clients = 60\n");
	assert_string_equal(world->said,
			    "2: server.max-clients stays as it is, it cannot be 60: no more than that");
	assert_int_equal(pd_config_number(world->config, PD_SETTING_MAX_CLIENTS), 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_both_formats_say_the_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_memory_chooses_its_level, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_misspelt_variables, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_all_errors_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_json_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_the_format, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hostile_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_every_allocation_may_fail, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_warnings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backups, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reload, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
