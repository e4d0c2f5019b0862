/* The engine alone, in this process, without network: how fast it evaluates, and what it needs of memory, as the data
 * is spread over few or many actors.
 *
 *     engine_bench [--quick] [--disk DIRECTORY]
 *
 * Level none; the memory log, or the file log in a directory that is not there yet. One transaction per command, as
 * the server runs them. Targets on one core: 0.8 M puts/s, 1 M gets/s. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "engine/engine.h"
#include "model/kv/kv.h"
#include "os/os.h"

#define VALUE_SIZE      100
#define STEP_EVERY      64 /* requests evaluated between two steps, as a busy server would */
#define REPLY_BYTES_MAX 65536
#define KEY_TEXT_MAX    64

struct bench {
	struct pd_os *os;
	struct pd_engine *engine;
	struct pd_session *session;
	const struct pd_command *set, *get;
	struct pd_buffer replies;
	struct pd_resp_writer writer;
	uint64_t random;
	uint8_t values[4096 + VALUE_SIZE];
};

static _Noreturn void die(const char *what, const struct pd_error *err)
{
	(void)fprintf(stderr, "engine_bench: %s: %s\n", what, err == NULL ? "" : err->text);
	exit(1);
}

static double now_s(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t rss_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	char text[128] = "";
	char *pages;

	if (file == NULL)
		return 0;
	if (fgets(text, sizeof(text), file) == NULL)
		text[0] = '\0';
	(void)fclose(file);
	pages = strchr(text, ' ');
	return pages == NULL ? 0 : strtoull(pages, NULL, 10) * 4096;
}

/* SplitMix64. Source: https://prng.di.unimi.it/splitmix64.c */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static const struct pd_command *find_command(const char *name)
{
	for (size_t i = 0; i < pd_kv_command_count; i++) {
		if (strcmp(pd_kv_commands[i].name, name) == 0)
			return &pd_kv_commands[i];
	}
	die(name, NULL);
}

static void bench_open(struct bench *bench, const char *directory)
{
	struct pd_engine_options options = PD_ENGINE_OPTIONS_DEFAULT;
	struct pd_recovery progress = { 0 };
	struct pd_error err = { 0 };

	if (pd_os_real_new(&bench->os, &err) != 0)
		die("cannot open the system", &err);
	options.os = bench->os;
	options.data_directory = directory;
	options.in_memory = directory == NULL;
	options.default_level = PD_LEVEL_NONE;
	if (pd_engine_open(&options, &bench->engine, &err) != 0)
		die("cannot open the engine", &err);
	while (!progress.done) {
		if (pd_engine_recover(bench->engine, 100000, &progress, &err) != 0)
			die("cannot recover", &err);
	}
	bench->session = pd_session_new(bench->engine, 1, "bench", "engine_bench");
	if (bench->session == NULL)
		die("no memory for a session", NULL);
	bench->set = find_command("set");
	bench->get = find_command("get");
	pd_buffer_init(&bench->replies, REPLY_BYTES_MAX);
	bench->writer = (struct pd_resp_writer){ .buffer = &bench->replies, .protocol = 2 };
	bench->random = 7;
	for (size_t i = 0; i < sizeof(bench->values); i++)
		bench->values[i] = (uint8_t)next_random(&bench->random);
}

static void bench_close(struct bench *bench)
{
	struct pd_error err = { 0 };

	pd_session_free(bench->session);
	if (pd_engine_close(bench->engine, &err) != 0)
		die("cannot close the engine", &err);
	pd_buffer_done(&bench->replies);
	pd_os_free(bench->os);
}

static void step(struct bench *bench)
{
	if (pd_engine_step(bench->engine) != 0) {
		(void)fprintf(stderr, "engine_bench: fenced: %s\n", pd_engine_fence_text(bench->engine));
		exit(1);
	}
	pd_buffer_clear(&bench->replies);
}

static void execute(struct bench *bench, const struct pd_command *command, const struct pd_slice *words,
		    size_t count)
{
	struct pd_request_command one = { .command = command, .words = words, .count = count };
	struct pd_request request = { .session = bench->session, .commands = &one, .count = 1 };
	struct pd_receipt receipt;
	struct pd_error err = { 0 };

	if (pd_engine_execute(bench->engine, &request, &bench->writer, &receipt, &err) != 0)
		die(command->name, &err);
	if (bench->writer.failed != 0)
		die("the reply did not fit", NULL);
}

/* `digits` decimal digits; printf would cost more than some of what is measured. */
static size_t put_digits(char *text, uint64_t number, unsigned digits)
{
	for (unsigned i = digits; i > 0; i--) {
		text[i - 1] = (char)('0' + number % 10);
		number /= 10;
	}
	return digits;
}

/* Key `number` of `keys` spread over `actors`: "{actor-…}key-…". One actor: plain keys of `main`. */
static struct pd_slice key_of(uint64_t number, uint64_t actors, char text[KEY_TEXT_MAX])
{
	size_t size = 0;

	if (actors > 1) {
		memcpy(text, "{actor-", 7);
		size = 7 + put_digits(text + 7, number % actors, 7);
		text[size++] = '}';
		number /= actors;
	}
	memcpy(text + size, "key-", 4);
	size += 4;
	size += put_digits(text + size, number, 10);
	return pd_slice(text, size);
}

/* A permutation of 0 … keys - 1 without memory: steps of a number that has no factor in common with `keys`. */
static uint64_t stride_of(uint64_t keys)
{
	uint64_t stride = (uint64_t)((double)keys * 0.6180339887) | 1;

	for (uint64_t tries = 0; tries < keys; tries++, stride += 2) {
		uint64_t a = stride, b = keys;

		while (b != 0) {
			uint64_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			return stride;
	}
	return 1;
}

static double put_all(struct bench *bench, uint64_t keys, uint64_t actors)
{
	uint64_t stride = stride_of(keys), number = 0;
	double start = now_s();

	for (uint64_t i = 0; i < keys; i++) {
		char text[KEY_TEXT_MAX];
		struct pd_slice words[3] = { pd_slice_string("SET"), key_of(number, actors, text),
					     pd_slice(bench->values + (next_random(&bench->random) & 4095),
						      VALUE_SIZE) };

		execute(bench, bench->set, words, 3);
		number = (number + stride) % keys;
		if (i % STEP_EVERY == STEP_EVERY - 1)
			step(bench);
	}
	step(bench);
	return (double)keys / (now_s() - start);
}

static double get_random(struct bench *bench, uint64_t keys, uint64_t actors, uint64_t count)
{
	double start = now_s();

	for (uint64_t i = 0; i < count; i++) {
		char text[KEY_TEXT_MAX];
		struct pd_slice words[2] = { pd_slice_string("GET"),
					     key_of(next_random(&bench->random) % keys, actors, text) };
		size_t before = bench->replies.size;

		execute(bench, bench->get, words, 2);
		if (bench->replies.size - before < VALUE_SIZE)
			die("a key is missing", NULL);
		if (i % STEP_EVERY == STEP_EVERY - 1)
			step(bench);
	}
	return (double)count / (now_s() - start);
}

static void run(const char *directory, uint64_t keys, uint64_t actors)
{
	struct bench bench = { 0 };
	struct pd_engine_stats stats;
	uint64_t before = rss_bytes();
	double puts, overwrites, gets;
	uint64_t rss;

	bench_open(&bench, directory);
	puts = put_all(&bench, keys, actors);
	rss = rss_bytes() - before;
	gets = get_random(&bench, keys, actors, keys < 2000000 ? keys : 2000000);
	overwrites = put_all(&bench, keys, actors);
	pd_engine_stats(bench.engine, &stats);
	(void)printf("| %8" PRIu64 " | %7" PRIu64 " | %6.2f | %6.2f | %6.2f | %8.1f | %8.1f |\n", keys,
		     actors, puts / 1e6, overwrites / 1e6, gets / 1e6,
		     (double)stats.memory_bytes / (double)keys, (double)rss / (double)keys);
	(void)fflush(stdout);
	bench_close(&bench);
}

/* In a process of its own: memory that one shape has given back would hide what the next one needs. */
static void run_apart(const char *directory, uint64_t keys, uint64_t actors)
{
	pid_t child = fork();
	int status = 0;

	if (child < 0)
		die("cannot fork", NULL);
	if (child == 0) {
		run(directory, keys, actors);
		exit(0);
	}
	if (waitpid(child, &status, 0) != child || status != 0)
		exit(1);
}

int main(int argc, char **argv)
{
	static const uint64_t shapes[][2] = { { 1000000, 1000 }, { 10000000, 1 }, { 10000000, 1000000 } };
	const char *directory = NULL;
	uint64_t divisor = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0) {
			divisor = 10;
		} else if (strcmp(argv[i], "--disk") == 0 && i + 1 < argc) {
			directory = argv[++i];
		} else {
			(void)fprintf(stderr, "usage: engine_bench [--quick] [--disk DIRECTORY]\n");
			return 2;
		}
	}
	(void)printf("|     keys |  actors | puts/s | overw. | gets/s | B/key st | B/key rs |   (millions)\n"
		     "|---------:|--------:|-------:|-------:|-------:|---------:|---------:|\n");
	(void)fflush(stdout);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		char path[4096];

		(void)snprintf(path, sizeof(path), "%s-%zu", directory == NULL ? "" : directory, i);
		run_apart(directory == NULL ? NULL : path, shapes[i][0] / divisor,
			  shapes[i][1] > 1 ? shapes[i][1] / divisor : 1);
	}
	return 0;
}
