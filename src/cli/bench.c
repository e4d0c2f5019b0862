/* `perdure bench`: a load on a server that speaks RESP, Perdure or Redis. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "cli/bench_load.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/output.h"
#include "os/os.h"
#include "server/server.h"
#include "wire/resp.h"

#define STRING_MAX       4096 /* a bad reply as JSON */
#define REQUESTS_DEFAULT 100000u
#define PIPELINE_LOADING 64u /* how deep the keys are written before reads are measured */

/* Values as they are given. */
struct given {
	struct pd_target target;
	const char *test, *seconds, *durability;
	uint64_t clients, pipeline, requests, keys, key_size, value_size, read_share, seed;
	bool in_order, fill, json;
};

struct settings {
	struct pd_bench_plan plan;
	const char *test;
	bool fill; /* write every key first, unmeasured */
	bool json;
};

/* ---- options ---- */

#define AT(field) offsetof(struct given, field)

static const struct pd_option table[] = {
	{ "host", "HOST", PD_OPTION_TEXT, AT(target.host), 0, 0,
	  "The server, Perdure or Redis (default 127.0.0.1)." },
	{ "port", "PORT", PD_OPTION_NUMBER, AT(target.port), 1, 65535, "Its RESP port (default 7379)." },
	{ "user", "NAME", PD_OPTION_TEXT, AT(target.user), 0, 0,
	  "Who asks. The password is taken from PERDURE_PASSWORD, or asked for at the terminal." },
	PD_TARGET_TLS_OPTIONS(struct given),
	{ "test", "TEST", PD_OPTION_TEXT, AT(test), 0, 0, "set, get, mixed, hset or incr (default set)." },
	{ "read-share", "PERCENT", PD_OPTION_NUMBER, AT(read_share), 0, 100,
	  "Of mixed: how many of 100 requests are GET (default 80)." },
	{ "clients", "N", PD_OPTION_NUMBER, AT(clients), 1, PD_BENCH_CLIENTS_MAX,
	  "Connections (default 50)." },
	{ "pipeline", "N", PD_OPTION_NUMBER, AT(pipeline), 1, PD_BENCH_PIPELINE_MAX,
	  "Requests that each client sends together (default 1)." },
	{ "requests", "N", PD_OPTION_NUMBER, AT(requests), 1, INT64_MAX,
	  "Requests in all (default 100000)." },
	{ "seconds", "S", PD_OPTION_TEXT, AT(seconds), 0, 0, "Run for so long instead, such as 2.5." },
	{ "keys", "N", PD_OPTION_NUMBER, AT(keys), 1, INT64_MAX,
	  "Different keys, drawn at random (default 100000)." },
	{ "in-order", NULL, PD_OPTION_SWITCH, AT(in_order), 0, 0, "Use the keys one after another instead." },
	{ "fill", NULL, PD_OPTION_SWITCH, AT(fill), 0, 0, "Write every key once before the measurement." },
	{ "key-size", "SIZE", PD_OPTION_SIZE, AT(key_size), 3, PD_BENCH_KEY_SIZE_MAX,
	  "Bytes of a key (default 16)." },
	{ "value-size", "SIZE", PD_OPTION_SIZE, AT(value_size), 0, PD_RESP_BULK_MAX,
	  "Bytes of a value (default 100), random: nothing compresses them." },
	{ "durability", "LEVEL", PD_OPTION_TEXT, AT(durability), 0, 0,
	  "Say PD.DURABILITY LEVEL on every connection first." },
	{ "seed", "N", PD_OPTION_NUMBER, AT(seed), 0, INT64_MAX, "Of keys and values (default 1)." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, AT(json), 0, 0, "text (default) or json." },
};

static const struct pd_options options = {
	.command = "perdure bench",
	.synopsis = "perdure bench [options]",
	.about = "Loads a RESP server and says how fast it answers. Each client sends a batch, waits for all "
		 "of\n"
		 "its replies, and sends the next. Every reply is verified.",
	.table = table,
	.count = sizeof(table) / sizeof(table[0]),
	.environment_count = 3, /* PERDURE_HOST, PERDURE_PORT, PERDURE_USER */
	.after = "Examples:\n"
		 "  perdure bench --clients 50 --pipeline 16 --seconds 5\n"
		 "  perdure bench --test get --fill --keys 1000000 -o json\n"
		 "  perdure bench --tls --cacert ca.pem --port 7380 --user ann\n"
		 "\n"
		 "Exit status:\n"
		 "  0  every reply was what was asked for\n"
		 "  1  an error or a wrong reply, or the load could not be run\n"
		 "  2  the command line is wrong",
};

static bool parse_seconds(const char *text, uint64_t *ret_ms)
{
	double seconds;

	if (!pd_slice_to_double(pd_slice_string(text), &seconds) || !(seconds >= 0.001 && seconds <= 1e6)) {
		(void)pd_options_wrong(&options, "--seconds is 0.001 to 1000000, not \"%s\"", text);
		return false;
	}
	*ret_ms = (uint64_t)(seconds * 1000);
	return true;
}

/* What the test's name means. */
static bool apply_test(struct settings *settings, unsigned mixed_share)
{
	static const struct {
		const char *name;
		enum pd_bench_kind write_kind;
	} tests[] = {
		{ "set", PD_BENCH_SET },   { "get", PD_BENCH_SET },   { "mixed", PD_BENCH_SET },
		{ "hset", PD_BENCH_HSET }, { "incr", PD_BENCH_INCR },
	};

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (strcmp(settings->test, tests[i].name) != 0)
			continue;
		settings->plan.write_kind = tests[i].write_kind;
		if (strcmp(settings->test, "get") == 0)
			settings->plan.read_share = 100;
		else if (strcmp(settings->test, "mixed") == 0)
			settings->plan.read_share = mixed_share;
		return true;
	}
	(void)pd_options_wrong(&options, "--test is set, get, mixed, hset or incr, not \"%s\"",
			       settings->test);
	return false;
}

/* A key is a letter, a colon and digits enough for all of them. */
static bool check_key_size(const struct pd_bench_plan *plan)
{
	unsigned size = 2;

	for (uint64_t last = plan->keys - 1; size == 2 || last > 0; last /= 10)
		size++;
	if (plan->key_size >= size)
		return true;
	(void)pd_options_wrong(&options, "--key-size: %" PRIu64 " keys need at least %u bytes each",
			       plan->keys, size);
	return false;
}

/* false: said what is wrong. */
static bool apply(const struct given *given, struct settings *settings)
{
	settings->plan = (struct pd_bench_plan){
		.target = given->target,
		.clients = (unsigned)given->clients,
		.pipeline = (unsigned)given->pipeline,
		.requests = given->requests,
		.keys = given->keys,
		.in_order = given->in_order,
		.key_size = (unsigned)given->key_size,
		.value_size = (unsigned)given->value_size,
		.level = given->durability,
		.seed = given->seed,
	};
	settings->test = given->test;
	settings->fill = given->fill;
	settings->json = given->json;
	if (given->seconds != NULL && !parse_seconds(given->seconds, &settings->plan.duration_ms))
		return false;
	if (given->seconds == NULL && given->requests == 0)
		settings->plan.requests = REQUESTS_DEFAULT;
	return apply_test(settings, (unsigned)given->read_share) && check_key_size(&settings->plan);
}

/* ---- results ---- */

static double per_second(uint64_t count, uint64_t elapsed_ns)
{
	return elapsed_ns == 0 ? 0 : (double)count * 1e9 / (double)elapsed_ns;
}

static double quantile_us(const struct pd_bench_histogram *histogram, double share)
{
	return (double)pd_bench_histogram_quantile(histogram, share) / 1000;
}

static void print_text(const struct settings *settings, const struct pd_bench_result *result)
{
	const struct pd_bench_plan *plan = &settings->plan;

	(void)printf("%s: %u clients, pipeline %u, %" PRIu64 " keys of %u B, values of %u B\n",
		     settings->test, plan->clients, plan->pipeline, plan->keys, plan->key_size,
		     plan->value_size);
	(void)printf("%" PRIu64 " replies in %.2f s: %.0f per second; %" PRIu64 " errors, %" PRIu64
		     " wrong replies, %" PRIu64 " keys not found\n",
		     result->replies, (double)result->elapsed_ns / 1e9,
		     per_second(result->replies, result->elapsed_ns), result->errors, result->unexpected,
		     result->misses);
	(void)printf("%-6s %12s %10s %10s %10s %10s %10s   (microseconds)\n", "", "count", "mean", "p50",
		     "p99", "p99.9", "max");
	for (unsigned kind = 0; kind < PD_BENCH_KINDS; kind++) {
		const struct pd_bench_histogram *latency = result->latency_ns[kind];

		if (pd_bench_histogram_count(latency) == 0)
			continue;
		(void)printf("%-6s %12" PRIu64 " %10.1f %10.1f %10.1f %10.1f %10.1f\n",
			     pd_bench_kind_name(kind), pd_bench_histogram_count(latency),
			     (double)pd_bench_histogram_mean(latency) / 1000, quantile_us(latency, 0.5),
			     quantile_us(latency, 0.99), quantile_us(latency, 0.999),
			     (double)pd_bench_histogram_max(latency) / 1000);
	}
	if (result->first_error[0] != '\0')
		(void)printf("first bad reply: %s\n", result->first_error);
}

/* As a JSON string; null if there is no memory for it. */
static void print_string(const char *text)
{
	struct pd_buffer quoted;

	pd_buffer_init(&quoted, STRING_MAX);
	if (pd_append_json_string(&quoted, pd_slice_string(text)) == 0)
		(void)fwrite(quoted.data, 1, quoted.size, stdout);
	else
		(void)fputs("null", stdout);
	pd_buffer_done(&quoted);
}

static void print_json(const struct settings *settings, const struct pd_bench_result *result)
{
	const struct pd_bench_plan *plan = &settings->plan;
	const char *separator = "";

	(void)printf("{\"test\": \"%s\", \"clients\": %u, \"pipeline\": %u, \"keys\": %" PRIu64
		     ", \"key_size\": %u, \"value_size\": %u, \"seconds\": %.6f, \"replies\": %" PRIu64
		     ", \"ops_per_second\": %.1f, \"errors\": %" PRIu64 ", \"unexpected\": %" PRIu64
		     ", \"misses\": %" PRIu64 ", \"first_error\": ",
		     settings->test, plan->clients, plan->pipeline, plan->keys, plan->key_size,
		     plan->value_size, (double)result->elapsed_ns / 1e9, result->replies,
		     per_second(result->replies, result->elapsed_ns), result->errors, result->unexpected,
		     result->misses);
	print_string(result->first_error);
	(void)printf(", \"operations\": {");
	for (unsigned kind = 0; kind < PD_BENCH_KINDS; kind++) {
		const struct pd_bench_histogram *latency = result->latency_ns[kind];

		if (pd_bench_histogram_count(latency) == 0)
			continue;
		(void)printf("%s\"%s\": {\"count\": %" PRIu64
			     ", \"mean_us\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
			     "\"max_us\": %.1f}",
			     separator, pd_bench_kind_name(kind), pd_bench_histogram_count(latency),
			     (double)pd_bench_histogram_mean(latency) / 1000, quantile_us(latency, 0.5),
			     quantile_us(latency, 0.99), quantile_us(latency, 0.999),
			     (double)pd_bench_histogram_max(latency) / 1000);
		separator = ", ";
	}
	(void)printf("}}\n");
}

/* ---- the run ---- */

/* 0, or the code of what ended the run; a run with bad replies is PD_IO. */
static int run_plan(struct pd_os *os, const struct pd_bench_plan *plan, struct pd_bench_result *result,
		    struct pd_error *err)
{
	int code = pd_bench_load(os, plan, result, err);

	if (code == 0 && result->errors + result->unexpected > 0)
		code = pd_error_set(err, PD_IO,
				    "%" PRIu64 " of %" PRIu64 " replies were errors, %" PRIu64
				    " were wrong; the first: %s",
				    result->errors, result->replies, result->unexpected, result->first_error);
	return code;
}

/* Write every key once. */
static int fill(struct pd_os *os, const struct pd_bench_plan *plan, struct pd_error *err)
{
	struct pd_bench_plan loading = *plan;
	struct pd_bench_result result;
	int code = pd_bench_result_init(&result);

	if (code != 0)
		return pd_error_set(err, code, "out of memory");
	loading.requests = plan->keys;
	loading.duration_ms = 0;
	loading.in_order = true;
	loading.read_share = 0;
	loading.pipeline = PIPELINE_LOADING;
	code = run_plan(os, &loading, &result, err);
	pd_bench_result_done(&result);
	return code;
}

static int run_all(struct pd_os *os, const struct settings *settings, struct pd_error *err)
{
	struct pd_output output = { .file = stdout };
	struct pd_bench_result result;
	int code = settings->fill ? fill(os, &settings->plan, err) : 0;

	if (code != 0)
		return code;
	code = pd_bench_result_init(&result);
	if (code != 0)
		return pd_error_set(err, code, "out of memory");
	code = run_plan(os, &settings->plan, &result, err);
	if (result.replies > 0) {
		if (settings->json)
			print_json(settings, &result);
		else
			print_text(settings, &result);
		if (!pd_output_finish(&output) && code == 0)
			code = pd_error_set(err, PD_NO_SPACE, "the load was run, and its figures are lost");
	}
	pd_bench_result_done(&result);
	return code;
}

static int run_settings(const struct settings *settings)
{
	struct pd_error err = { 0 };
	struct pd_os *os = NULL;
	int code = pd_os_real_new(&os, &err);

	if (code == 0)
		code = run_all(os, settings, &err);
	if (code != 0)
		(void)fprintf(stderr, "perdure bench: %s\n", err.text);
	if (os != NULL)
		pd_os_free(os);
	return code == 0 ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

static int run(int argc, char **argv)
{
	struct given given = { .target = { .host = PD_TARGET_HOST, .port = PD_TARGET_PORT },
			       .test = "set",
			       .clients = 50,
			       .pipeline = 1,
			       .keys = 100000,
			       .key_size = 16,
			       .value_size = 100,
			       .read_share = 80,
			       .seed = 1 };
	char password[PD_TARGET_PASSWORD_SIZE];
	struct settings settings = { 0 };
	struct pd_error err = { 0 };
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	if (pd_target_take_password(&given.target, password, &err) != 0) {
		(void)fprintf(stderr, "perdure bench: %s\n", err.text);
		return PD_EXIT_FAILURE;
	}
	status = apply(&given, &settings) ? run_settings(&settings) : PD_EXIT_USAGE;
	explicit_bzero(password, sizeof password);
	return status;
}

const struct pd_subcommand pd_subcommand_bench = { "bench", "load a server and say how fast it answers",
						   run };
