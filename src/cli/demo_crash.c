/* `perdure demo crash`: is what was acknowledged there after a kill?
 *
 * One client sets keys to numbers that count up, many requests in flight, and the server is killed (kill -9) under it. The server
 * does one after the other, so what it holds after the restart must be the state after some first part of them: all that were
 * acknowledged, perhaps some of those that were not, nothing else, and none without all before it. Then it is killed again while
 * nobody writes, and must come back with the same hash of its state.
 *
 * A kill leaves what the kernel has been given; power cuts are what `./dev crash` simulates. */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/demo_private.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/scratch.h"
#include "server/server.h"
#include "wire/resp.h"

#define ACTORS     10u
#define KEYS_EACH  100u
#define KEYS       (ACTORS * KEYS_EACH)
#define KEY_SIZE   32u
#define BATCH      64u /* requests in flight */
#define WRITING_US 60000u
#define ROUNDS     100u
#define ROUNDS_MAX 100000u
#define NEWS_EACH  10u /* rounds, where there is no terminal */
#define HASH_SIZE  80u
#define PAIRS      10u /* keys that one MGET asks for */

struct given {
	const char *data;
	uint64_t rounds;
	bool planted, keep, json;
};

static const struct pd_option table[] = {
	{ "rounds", "N", PD_OPTION_NUMBER, offsetof(struct given, rounds), 1, ROUNDS_MAX,
	  "Kills under load (default 100)." },
	{ "planted", NULL, PD_OPTION_SWITCH, offsetof(struct given, planted), 0, 0,
	  "Take an acknowledged write away behind the back of the check: it must notice, and does." },
	{ "data", "DIR", PD_OPTION_TEXT, offsetof(struct given, data), 0, 0,
	  "Directory to make and to play in (default: a new one in TMPDIR, else /tmp)." },
	{ "keep", NULL, PD_OPTION_SWITCH, offsetof(struct given, keep), 0, 0,
	  "Leave the directory there, to look around in. Otherwise it is removed." },
	{ "o", "FORMAT", PD_OPTION_FORMAT, offsetof(struct given, json), 0, 0, "text (default) or json." },
};

static const struct pd_options options = {
	.command = "perdure demo crash",
	.synopsis = "perdure demo crash [options]",
	.about = "Starts a scratch server, writes through a client as fast as it goes, kills the server "
		 "(kill -9) with\n"
		 "writes under way, starts it again, and compares all that it holds with what had been "
		 "acknowledged.\n"
		 "Then the same again. After each round it is killed once more while nobody writes, and must "
		 "come\n"
		 "back with the same state.",
	.table = table,
	.count = sizeof table / sizeof *table,
	.after = "Examples:\n"
		 "  perdure demo crash --rounds 1000\n"
		 "  perdure demo crash --planted          # must fail: the check is worth something\n"
		 "\n"
		 "Exit status:\n"
		 "  0  every acknowledged write was there, and nothing else\n"
		 "  1  something was missing, or it could not be tried; the directory stays\n"
		 "  2  the command line is wrong",
};

struct demo {
	const struct given *given;
	struct pd_scratch scratch;
	struct pd_output output;
	bool terminal;
	/* Write n sets key n % KEYS to n. What the server held when the round began, and what has been asked since: */
	uint64_t first, sent, acknowledged; /* up to and without these numbers */
	uint64_t held[KEYS];                /* the number in each key when the round began; 0: none */
	uint64_t rounds, writes, kills, unanswered_kept;
	uint64_t start_us, start_us_most; /* all starts after a kill together; the longest */
};

static void key_of(uint64_t number, char key[KEY_SIZE])
{
	unsigned at = (unsigned)(number % KEYS);

	(void)snprintf(key, KEY_SIZE, "{demo-%u}:key-%u", at % ACTORS, at / ACTORS);
}

/* ---- writing ---- */

static int send_write(struct demo *demo, struct pd_error *err)
{
	char key[KEY_SIZE], value[24];
	struct pd_slice words[3] = { pd_slice_string("SET") };

	key_of(demo->sent, key);
	(void)snprintf(value, sizeof value, "%" PRIu64, demo->sent);
	words[1] = pd_slice_string(key);
	words[2] = pd_slice_string(value);
	demo->sent++;
	return pd_link_send(&demo->scratch.link, words, 3, err);
}

static int take_reply(struct demo *demo, struct pd_error *err)
{
	struct pd_slice rest;
	struct pd_reply reply;
	int result = pd_link_receive(&demo->scratch.link, 60, &rest, err);

	if (result != 0)
		return result;
	reply = pd_reply_read(&rest);
	if (reply.kind == PD_REPLY_ERROR)
		return pd_error_set(err, PD_INVALID, "the server refused a write: %.*s", (int)reply.text.size,
				    (const char *)reply.text.data);
	demo->acknowledged++;
	return 0;
}

/* Keep BATCH requests in flight for a while. They are so when it ends. */
static int write_on(struct demo *demo, struct pd_error *err)
{
	struct pd_os *os = demo->scratch.os;
	uint64_t end_ns, chance;
	int result = 0;

	pd_os_random(os, &chance, sizeof chance);
	end_ns = pd_os_monotonic_ns(os) + chance % (2 * WRITING_US) * 1000;
	while (result == 0 && (pd_os_monotonic_ns(os) < end_ns || demo->sent < demo->acknowledged + BATCH)) {
		if (demo->sent < demo->acknowledged + BATCH)
			result = send_write(demo, err);
		else
			result = take_reply(demo, err);
	}
	return result;
}

/* Replies that were on their way when it was killed count. */
static void kill_server(struct demo *demo)
{
	pd_os_child_kill(&demo->scratch.server);
	while (take_reply(demo, NULL) == 0)
		;
	pd_link_close(&demo->scratch.link);
	demo->kills++;
}

static int start_again(struct demo *demo, struct pd_error *err)
{
	uint64_t began = pd_os_monotonic_ns(demo->scratch.os), took_us;
	int result = pd_scratch_start(&demo->scratch, err);

	took_us = (pd_os_monotonic_ns(demo->scratch.os) - began) / 1000;
	demo->start_us += took_us;
	if (took_us > demo->start_us_most)
		demo->start_us_most = took_us;
	return result;
}

/* ---- looking ---- */

/* The numbers of PAIRS keys from the one at `first` on. */
static int read_some(struct demo *demo, unsigned first, uint64_t numbers[PAIRS], struct pd_error *err)
{
	char keys[PAIRS][KEY_SIZE];
	const char *words[PAIRS + 2] = { "MGET" };
	struct pd_slice rest;
	struct pd_reply list;
	int result;

	for (unsigned i = 0; i < PAIRS; i++) {
		key_of(first + i, keys[i]);
		words[i + 1] = keys[i];
	}
	result = pd_target_ask(&demo->scratch.link, words, &rest, err);
	if (result != 0)
		return result;
	list = pd_reply_read(&rest);
	if (list.kind != PD_REPLY_LIST || list.count != PAIRS)
		return pd_error_set(err, PD_INVALID, "the server's reply to MGET has not %u values", PAIRS);
	for (unsigned i = 0; i < PAIRS; i++) {
		struct pd_reply value = pd_reply_read(&rest);
		int64_t number = 0;

		if (value.kind == PD_REPLY_TEXT && !pd_slice_to_int64(value.text, &number))
			return pd_error_set(err, PD_CORRUPT, "%s has a value that nobody wrote", keys[i]);
		numbers[i] = (uint64_t)number;
	}
	return 0;
}

static int read_all(struct demo *demo, uint64_t found[KEYS], struct pd_error *err)
{
	int result = 0;

	for (unsigned first = 0; result == 0 && first < KEYS; first += PAIRS)
		result = read_some(demo, first, found + first, err);
	return result;
}

/* What a key holds after the writes below `end`. */
static uint64_t expected(const struct demo *demo, unsigned key, uint64_t end)
{
	uint64_t last = end == 0 ? 0 : (end - 1) / KEYS * KEYS + key;

	if (last >= end)
		last = last >= KEYS ? last - KEYS : 0;
	return last >= demo->first && last > 0 ? last : demo->held[key];
}

/* Is it the state after all writes below some number, from the acknowledged to the sent? Those are the writes that are kept. */
static int check(struct demo *demo, const uint64_t found[KEYS], struct pd_error *err)
{
	uint64_t end = demo->first;

	for (unsigned key = 0; key < KEYS; key++)
		if (found[key] >= end)
			end = found[key] + 1;
	if (end < demo->acknowledged)
		end = demo->acknowledged;
	if (end > demo->sent)
		return pd_error_set(err, PD_CORRUPT, "write %" PRIu64 " is there, and was never sent",
				    end - 1);
	for (unsigned key = 0; key < KEYS; key++) {
		uint64_t wanted = expected(demo, key, end);
		char name[KEY_SIZE];

		if (found[key] == wanted)
			continue;
		key_of(key, name);
		return pd_error_set(err, PD_CORRUPT, "%s holds %" PRIu64 " and not %" PRIu64 ": %s", name,
				    found[key], wanted,
				    wanted < demo->acknowledged
					    ? "an acknowledged write is missing"
					    : "a later write is there, and this one is not");
	}
	demo->unanswered_kept += end - demo->acknowledged;
	demo->writes += demo->acknowledged - demo->first;
	demo->first = demo->sent = demo->acknowledged = end;
	memcpy(demo->held, found, sizeof demo->held);
	return 0;
}

/* The lie: an acknowledged write goes. */
static int take_away(struct demo *demo, struct pd_error *err)
{
	char key[KEY_SIZE];
	const char *words[] = { "DEL", key, NULL };
	struct pd_slice reply;

	key_of(demo->acknowledged - 1, key);
	return pd_target_ask(&demo->scratch.link, words, &reply, err);
}

static int state_hash(struct demo *demo, char hash[HASH_SIZE], struct pd_error *err)
{
	static const char *const words[] = { "PD.STATEHASH", NULL };
	struct pd_slice rest;
	struct pd_reply reply;
	int result = pd_target_ask(&demo->scratch.link, words, &rest, err);

	if (result != 0)
		return result;
	reply = pd_reply_read(&rest);
	(void)snprintf(hash, HASH_SIZE, "%.*s", (int)reply.text.size, (const char *)reply.text.data);
	return 0;
}

/* Killed while nobody writes, it comes back as it was. */
static int check_hash(struct demo *demo, struct pd_error *err)
{
	char before[HASH_SIZE], after[HASH_SIZE];
	int result = state_hash(demo, before, err);

	if (result != 0)
		return result;
	kill_server(demo);
	result = start_again(demo, err);
	if (result == 0)
		result = state_hash(demo, after, err);
	if (result != 0 || strcmp(before, after) == 0)
		return result;
	return pd_error_set(err, PD_CORRUPT,
			    "the hash of the state was %s, and is %s after a kill while nobody wrote", before,
			    after);
}

/* ---- rounds ---- */

static int play_round(struct demo *demo, struct pd_error *err)
{
	uint64_t found[KEYS];
	int result = write_on(demo, err);

	kill_server(demo);
	if (result == 0)
		result = start_again(demo, err);
	if (result == 0 && demo->given->planted)
		result = take_away(demo, err);
	if (result == 0)
		result = read_all(demo, found, err);
	if (result == 0)
		result = check(demo, found, err);
	return result == 0 ? check_hash(demo, err) : result;
}

static void tell_round(struct demo *demo)
{
	uint64_t rounds = demo->given->rounds;
	unsigned filled = (unsigned)(demo->rounds * 30 / rounds);
	static const char bar[] = "##############################..............................";

	if (demo->given->json || (!demo->terminal && demo->rounds % NEWS_EACH != 0))
		return;
	(void)fprintf(stderr, "%sround %" PRIu64 "/%" PRIu64 " [%.30s] %" PRIu64 " acknowledged, all there%s",
		      demo->terminal ? "\r" : "", demo->rounds, rounds, bar + 30 - filled, demo->writes,
		      demo->terminal ? "" : "\n");
	(void)fflush(stderr);
}

static int play(struct demo *demo, struct pd_error *err)
{
	int result = pd_scratch_start(&demo->scratch, err);

	while (result == 0 && demo->rounds < demo->given->rounds) {
		result = play_round(demo, err);
		if (result == 0)
			demo->rounds++;
		if (result == 0)
			tell_round(demo);
	}
	if (demo->terminal && !demo->given->json)
		(void)fputc('\n', stderr);
	return result;
}

static void print_result(struct demo *demo, const struct pd_error *err, bool good)
{
	struct pd_output *output = &demo->output;
	uint64_t start_us = demo->kills > 0 ? demo->start_us / demo->kills : 0;

	if (demo->given->json) {
		pd_output_open(output, NULL, '{');
		pd_output_bool_field(output, "good", good);
		pd_output_number_field(output, "rounds", demo->rounds);
		pd_output_number_field(output, "acknowledged", demo->writes);
		pd_output_number_field(output, "unanswered_and_kept", demo->unanswered_kept);
		pd_output_number_field(output, "kills", demo->kills);
		pd_output_number_field(output, "restart_us_mean", start_us);
		pd_output_number_field(output, "restart_us_most", demo->start_us_most);
		pd_output_string_field(output, "violation", good ? "" : err->text);
		pd_output_close(output, '}');
		pd_output_end(output);
		return;
	}
	if (!good) {
		pd_output_text(output, "round %" PRIu64 " of %" PRIu64 " went wrong\n", demo->rounds + 1,
			       demo->given->rounds);
		return;
	}
	pd_output_text(output,
		       "%" PRIu64 "/%" PRIu64 " rounds: %" PRIu64 "/%" PRIu64
		       " acknowledged writes present, state hash equal after each restart\n"
		       "(%" PRIu64 " kills; %" PRIu64
		       " writes that had not been answered were there, too; a restart took "
		       "%" PRIu64 " ms, %" PRIu64 " ms at most)\n",
		       demo->rounds, demo->given->rounds, demo->writes, demo->writes, demo->kills,
		       demo->unanswered_kept, start_us / 1000, demo->start_us_most / 1000);
}

static int run_demo(struct demo *demo, struct pd_os *os)
{
	struct pd_error err = { 0 }, why = { 0 };
	int result = pd_scratch_init(&demo->scratch, os, demo->given->data, &err);
	bool keep;

	if (result == 0)
		result = play(demo, &err);
	if (result == 0)
		result = pd_scratch_stop(&demo->scratch, &err);
	else
		pd_scratch_kill(&demo->scratch);
	print_result(demo, &err, result == 0);
	keep = demo->given->keep || result != 0;
	if (result != 0)
		(void)fprintf(stderr, "perdure demo crash: %s\n", err.text);
	if (keep && demo->scratch.made)
		(void)fprintf(stderr, "%s has the data, %s what the server said.\n", demo->scratch.data,
			      demo->scratch.log);
	if (pd_scratch_done(&demo->scratch, keep, &why) != 0)
		(void)fprintf(stderr, "perdure demo crash: %s\n", why.text);
	return pd_output_finish(&demo->output) && result == 0 ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

int pd_cli_demo_crash(int argc, char **argv)
{
	struct given given = { .rounds = ROUNDS };
	struct demo *demo;
	struct pd_os *os;
	struct pd_error err = { 0 };
	int status;

	if (!pd_options_take(&options, argc, argv, &given, &status))
		return status;
	if (given.data != NULL && (given.data[0] == '\0' || strlen(given.data) >= PD_SCRATCH_PATH_SIZE))
		return pd_options_wrong(&options, "--data is a path of 1 to %d bytes",
					PD_SCRATCH_PATH_SIZE - 1);
	demo = pd_calloc(1, sizeof *demo);
	if (demo == NULL || pd_os_real_new(&os, &err) != 0) {
		(void)fprintf(stderr, "perdure demo crash: %s\n", demo == NULL ? "out of memory" : err.text);
		pd_free(demo);
		return PD_EXIT_FAILURE;
	}
	*demo = (struct demo){ .given = &given,
			       .output = { .file = stdout },
			       .terminal = isatty(STDERR_FILENO) == 1,
			       .first = 1,
			       .sent = 1,
			       .acknowledged = 1 };
	status = run_demo(demo, os);
	pd_os_free(os);
	pd_free(demo);
	return status;
}
