#include "host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model/kv/kv.h"
#include "model/relation/relation.h"

#define WORDS_MAX 32

void host_init(struct host *host)
{
	struct pd_error err;

	*host = (struct host){ .machine = PD_SIM_OPTIONS_DEFAULT, .options = PD_ENGINE_OPTIONS_DEFAULT };
	host->machine.seed = 1;
	host->options.data_directory = "data";
	host->options.segment_bytes = 64 * 1024;
	host->options.queue_depth = 1;
	host->options.random_seed = 1;
	host->options.levels = PD_LEVELS_PLAIN;
	host->options.memory_budget_bytes = (uint64_t)256 << 20;
	pd_buffer_init(&host->reply, (size_t)64 * 1024 * 1024);
	assert_int_equal(pd_os_sim_new(&host->machine, &host->os, &err), 0);
	host->options.os = host->os;
}

static void let_go(struct host *host)
{
	for (unsigned i = 0; i < HOST_SESSIONS; i++)
		pd_session_free(host->sessions[i]);
	memset(host->sessions, 0, sizeof host->sessions);
	host->session = NULL;
}

void host_done(struct host *host)
{
	if (host->engine != NULL) {
		let_go(host);
		(void)pd_engine_close(host->engine, NULL);
	}
	pd_buffer_done(&host->reply);
	pd_os_free(host->os);
}

int host_try_open(struct host *host)
{
	int result = pd_engine_open(&host->options, &host->engine, &host->err);

	if (result != 0) {
		host->engine = NULL;
		return result;
	}
	memset(&host->recovery, 0, sizeof host->recovery);
	while (result == 0 && !host->recovery.done)
		result = pd_engine_recover(host->engine, 10, &host->recovery, &host->err);
	for (unsigned i = 0; result == 0 && i < HOST_SESSIONS; i++) {
		host->sessions[i] = pd_session_new(host->engine, i + 1, "tester", "unit test");
		if (host->sessions[i] == NULL)
			result = PD_NO_MEMORY;
	}
	host->session = host->sessions[0];
	if (result != 0) {
		let_go(host);
		(void)pd_engine_close(host->engine, NULL);
		host->engine = NULL;
	}
	return result;
}

void host_open(struct host *host)
{
	if (host_try_open(host) != 0)
		fail_msg("cannot open: %s", host->err.text);
}

void host_close(struct host *host)
{
	int result;

	let_go(host);
	result = pd_engine_close(host->engine, &host->err);
	host->engine = NULL;
	if (result != 0)
		fail_msg("cannot close: %s", host->err.text);
}

void host_crash(struct host *host, bool power)
{
	let_go(host);
	/* All that the engine still does comes to nothing. */
	if (power)
		pd_sim_power_cut(host->os);
	else
		pd_sim_process_crash(host->os);
	(void)pd_engine_close(host->engine, NULL);
	host->engine = NULL;
}

void host_power_cycle(struct host *host)
{
	host_crash(host, true);
	host_open(host);
}

/* ---- requests ---- */

/* Cut at spaces. "" in quotes is an empty word. */
static size_t cut(const char *command, struct pd_slice *words)
{
	size_t count = 0;

	while (*command != '\0') {
		size_t size = strcspn(command, " ");

		assert_true(count < WORDS_MAX);
		words[count++] = size == 2 && command[0] == '"' ? pd_slice(NULL, 0) : pd_slice(command, size);
		command += size;
		command += *command == ' ';
	}
	return count;
}

/* "PD.ACTOR RELATE" is pd.actor|relate. */
static const struct pd_command *find_relation_command(struct pd_slice subcommand)
{
	for (size_t i = 0; i < pd_relation_command_count; i++)
		if (pd_slice_equal_nocase(subcommand, strchr(pd_relation_commands[i].name, '|') + 1))
			return &pd_relation_commands[i];
	fail_msg("there is no command 'PD.ACTOR %.*s'", (int)subcommand.size, (const char *)subcommand.data);
	return NULL;
}

static const struct pd_command *find_command(const struct pd_slice *words)
{
	struct pd_slice name = words[0];

	if (pd_slice_equal_nocase(name, "pd.actor"))
		return find_relation_command(words[1]);
	for (size_t i = 0; i < pd_kv_command_count; i++)
		if (pd_slice_equal_nocase(name, pd_kv_commands[i].name))
			return &pd_kv_commands[i];
	fail_msg("there is no command '%.*s'", (int)name.size, (const char *)name.data);
	return NULL;
}

int host_send(struct host *host, const struct host_request *request)
{
	struct pd_slice words[4][WORDS_MAX];
	struct pd_request_command commands[4];
	struct pd_request sent = { .session = request->session != NULL ? request->session : host->session,
				   .commands = commands,
				   .as_array = request->as_array,
				   .preconditions = request->preconditions,
				   .precondition_count = request->precondition_count,
				   .level = request->level };
	struct pd_resp_writer writer = { .buffer = &host->reply, .protocol = 2 };

	for (; sent.count < 4 && request->commands[sent.count] != NULL; sent.count++) {
		size_t count = cut(request->commands[sent.count], words[sent.count]);

		commands[sent.count] = (struct pd_request_command){
			.command = find_command(words[sent.count]), .words = words[sent.count], .count = count
		};
	}
	if (request->idempotency_key != NULL)
		sent.idempotency_key = pd_slice_string(request->idempotency_key);
	pd_buffer_clear(&host->reply);
	return pd_engine_execute(host->engine, &sent, &writer, &host->receipt, &host->err);
}

int host_run(struct host *host, const char *command)
{
	return host_send(host, &(struct host_request){ .commands = { command } });
}

const char *host_reply(struct host *host)
{
	assert_int_equal(pd_buffer_reserve(&host->reply, 1), 0);
	host->reply.data[host->reply.size] = '\0';
	return (const char *)host->reply.data;
}

void host_expect(struct host *host, const char *command, const char *reply)
{
	int result = host_run(host, command);

	if (result != 0)
		fail_msg("%s: %s", command, host->err.text);
	assert_string_equal(host_reply(host), reply);
}

void host_durable(struct host *host, const char *command)
{
	int result = host_run(host, command);

	/* The disk is behind: a minute of waiting at most. */
	for (uint64_t waited_us = 0; result == PD_AGAIN && waited_us < 60000000;
	     waited_us += host->receipt.retry_us) {
		pd_os_sleep_us(host->os, host->receipt.retry_us);
		assert_int_equal(pd_engine_step(host->engine), 0);
		result = host_run(host, command);
	}
	if (result != 0)
		fail_msg("%s: %s", command, host->err.text);
	for (unsigned i = 0; i < 100 && host_settled(host) == 0; i++)
		assert_int_equal(pd_engine_step(host->engine), 0);
	assert_int_equal(host_settled(host), 1);
}

int host_settled(const struct host *host)
{
	return pd_engine_settled(host->engine, &host->receipt.wait);
}

uint64_t host_lsn(const struct host *host)
{
	uint64_t epoch, lsn;

	pd_engine_now(host->engine, &epoch, &lsn);
	return lsn;
}

uint64_t host_durable_lsn(const struct host *host)
{
	struct pd_engine_stats stats;

	pd_engine_stats(host->engine, &stats);
	return stats.marks.durable_lsn;
}

struct pd_hash128 host_hash(struct host *host, const char *actor)
{
	struct pd_hash128 hash = { 0, 0 };

	if (pd_engine_state_hash(host->engine, host->session, pd_slice_string(actor), &hash, &host->err) != 0)
		fail_msg("no hash of '%s': %s", actor, host->err.text);
	return hash;
}

void host_advance_ms(struct host *host, uint64_t ms)
{
	pd_sim_advance_us(host->os, ms * 1000);
}

void host_rot_value(struct host *host, const char *value)
{
	static const char directory[] = "data/store/0000/live";
	struct pd_os_names names;
	unsigned found = 0;

	assert_int_equal(pd_os_list(host->os, directory, &names, &host->err), 0);
	for (size_t i = 0; i < names.count; i++) {
		const uint8_t *data;
		char path[200];
		uint64_t size;

		(void)snprintf(path, sizeof path, "%s/%s", directory, names.names[i]);
		if (strstr(path, ".level") == NULL)
			continue;
		assert_int_equal(pd_sim_content(host->os, path, &data, &size), 0);
		for (uint64_t at = 0; at + strlen(value) <= size; at++)
			if (memcmp(data + at, value, strlen(value)) == 0) {
				assert_int_equal(pd_sim_flip_bit(host->os, path, at, 3), 0);
				found++;
				break;
			}
	}
	pd_os_names_done(&names);
	assert_true(found > 0);
}
