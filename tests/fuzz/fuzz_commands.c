/* Sequences of commands on two engines: one that keeps strings in tiny chunks and moves its state to the levels all the time, and one
 * with everything whole and in memory. They give the same replies, and the first gives them again after another start. */
#include <stdio.h>

#include "engine/engine.h"
#include "input.h"
#include "model/kv/kv.h"
#include "os/sim.h"

#define COMMANDS_MAX 60u
#define WORDS_MAX    10u
#define WORD_BYTES   700u
#define AGAIN_MAX    1000u

struct side {
	struct pd_os *os;
	struct pd_engine *engine;
	struct pd_session *session;
	struct pd_buffer reply;
	bool in_memory;
};

/* ---- engines ---- */

static void open_side(struct side *side)
{
	struct pd_engine_options options = PD_ENGINE_OPTIONS_DEFAULT;
	struct pd_recovery recovery = { 0 };

	options.os = side->os;
	options.data_directory = "data";
	options.segment_bytes = PD_LOG_SEGMENT_BYTES_MIN;
	options.queue_depth = 1;
	options.random_seed = 1;
	options.memory_budget_bytes = UINT64_C(256) << 20;
	options.levels = PD_LEVELS_NONE;
	options.in_memory = side->in_memory;
	options.default_level = side->in_memory ? PD_LEVEL_NONE : PD_LEVEL_STRICT;
	if (!side->in_memory) {
		options.levels = PD_LEVELS_PLAIN;
		options.memtable_bytes = 2048;
		options.range_points_max = 2;
		options.large_min = 20;
		options.chunk_size = 7;
	}
	PD_ASSERT(pd_engine_open(&options, &side->engine, NULL) == 0);
	while (!recovery.done)
		PD_ASSERT(pd_engine_recover(side->engine, 1000, &recovery, NULL) == 0);
	side->session = pd_session_new(side->engine, 1, "fuzz", "fuzz");
	PD_ASSERT(side->session != NULL);
}

static void begin_side(struct side *side, bool in_memory)
{
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;

	*side = (struct side){ .in_memory = in_memory };
	pd_buffer_init(&side->reply, 1 << 28);
	PD_ASSERT(pd_os_sim_new(&machine, &side->os, NULL) == 0);
	open_side(side);
}

static void close_side(struct side *side)
{
	pd_session_free(side->session);
	PD_ASSERT(pd_engine_close(side->engine, NULL) == 0);
}

static void end_side(struct side *side)
{
	close_side(side);
	pd_buffer_done(&side->reply);
	pd_os_free(side->os);
}

/* ---- what is asked ---- */

/* What tells how a value is kept, or where a walk over all keys has come to, may be another. */
static bool comparable(const char *name)
{
	static const char *const others[] = { "object|encoding", "object|idletime", "memory|usage",
					      "randomkey",       "hrandfield",      "scan",
					      "hscan",           "dbsize",          "object|freq",
					      "object|refcount" };

	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (strcmp(name, others[i]) == 0)
			return false;
	return true;
}

static const char *const texts[] = { "a",          "b",        "{x}a",
				     "{y}b",       "h",        "k",
				     "0",          "1",        "-1",
				     "2",          "7",        "10",
				     "100",        "3.0e2",    "nx",
				     "xx",         "ex",       "px",
				     "match",      "*",        "count",
				     "type",       "string",   "get",
				     "keepttl",    "set",      "u4",
				     "i8",         "#1",       "incrby",
				     "wrap",       "sat",      "fail",
				     "and",        "or",       "xor",
				     "not",        "bit",      "byte",
				     "len",        "idx",      "limit",
				     "gt",         "overflow", "replace",
				     "db",         "sync",     "minmatchlen",
				     "withvalues", "persist",  "9223372036854775807",
				     "1800000000", "field" };
#define TEXTS (sizeof texts / sizeof texts[0])

/* A text of the list, any bytes, or many of one byte. */
static struct pd_slice take_word(struct input *input, uint8_t scratch[WORD_BYTES])
{
	uint8_t pick = take_byte(input);

	if (pick < 200)
		return pd_slice_string(texts[pick % TEXTS]);
	if (pick < 230)
		return take_piece(input);
	memset(scratch, 'a' + pick % 3, WORD_BYTES);
	return pd_slice(scratch, take_number(input, 2) % WORD_BYTES);
}

static void pass(struct side *side, uint64_t us)
{
	pd_sim_advance_us(side->os, us);
	PD_ASSERT(pd_engine_step(side->engine) == 0);
}

/* Adds what was waited for until there was an answer. */
static int ask_one(struct side *side, const struct pd_command *command, const struct pd_slice *words,
		   size_t count, uint64_t *waited_us)
{
	struct pd_request_command one = { .command = command, .words = words, .count = count };
	struct pd_request request = { .session = side->session, .commands = &one, .count = 1 };
	struct pd_resp_writer writer = { .buffer = &side->reply, .protocol = 3 };
	struct pd_receipt receipt;
	struct pd_error err;
	int result;

	for (unsigned i = 0;; i++) {
		pd_buffer_clear(&side->reply);
		result = pd_engine_execute(side->engine, &request, &writer, &receipt, &err);
		if (result != PD_AGAIN)
			break;
		PD_ASSERT(i < AGAIN_MAX);
		pass(side, receipt.retry_us);
		*waited_us += receipt.retry_us;
	}
	if (result == 0)
		PD_ASSERT(pd_resp_reply_size(side->reply.data, side->reply.size) == side->reply.size);
	return result;
}

static void ask(struct side sides[2], const struct pd_command *command, const struct pd_slice *words,
		size_t count)
{
	uint64_t waited_us = 0, more_us = 0;
	int first, second;

	first = ask_one(&sides[0], command, words, count, &waited_us);
	/* Expiry is by the clock, which is the same for both. In memory nothing has to wait for the disk. */
	if (waited_us > 0)
		pass(&sides[1], waited_us);
	second = ask_one(&sides[1], command, words, count, &more_us);
	PD_ASSERT(first == second && more_us == 0);
	if (first == 0 && comparable(command->name))
		PD_ASSERT(pd_slice_equal(pd_buffer_slice(&sides[0].reply), pd_buffer_slice(&sides[1].reply)));
}

static void pass_both(struct side sides[2], uint64_t us)
{
	for (unsigned i = 0; i < 2; i++)
		pass(&sides[i], us);
}

static void take_command(struct side sides[2], struct input *input)
{
	const struct pd_command *command = &pd_kv_commands[take_byte(input) % pd_kv_command_count];
	size_t least = (size_t)abs(command->arity), count = least;
	uint8_t scratch[WORDS_MAX][WORD_BYTES];
	struct pd_slice words[WORDS_MAX] = { pd_slice_string(command->name) };

	if (command->arity < 0)
		count += take_byte(input) % 5;
	if (count > WORDS_MAX)
		count = WORDS_MAX;
	for (size_t i = 1; i < count; i++)
		words[i] = take_word(input, scratch[i]);
	/* What the chunks have cost in transactions, and so in time, is made up for. */
	pass_both(sides, 1000);
	ask(sides, command, words, count);
}

/* All that is at the names of the list. */
static void compare_all(struct side sides[2])
{
	static const char *const names[] = { "get", "hgetall", "type", "pexpiretime", "dump" };

	for (size_t i = 0; i < TEXTS; i++)
		for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
			for (size_t c = 0; c < pd_kv_command_count; c++) {
				struct pd_slice words[2] = { pd_slice_string(names[n]),
							     pd_slice_string(texts[i]) };

				if (strcmp(pd_kv_commands[c].name, names[n]) == 0)
					ask(sides, &pd_kv_commands[c], words, 2);
			}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct side sides[2];
	struct pd_error err = { 0 };

	begin_side(&sides[0], false);
	begin_side(&sides[1], true);
	for (unsigned i = 0; i < COMMANDS_MAX && input.size > 0; i++) {
		if (input.data[0] == 255) {
			(void)take_byte(&input);
			pass_both(sides, take_number(&input, 3) * 10);
		} else {
			take_command(sides, &input);
		}
	}
	pass_both(sides, 1000);
	PD_ASSERT(pd_engine_check_large(sides[0].engine, &err) == 0);
	close_side(&sides[0]);
	open_side(&sides[0]);
	pass_both(sides, 1000);
	compare_all(sides);
	PD_ASSERT(pd_engine_check_large(sides[0].engine, &err) == 0);
	end_side(&sides[0]);
	end_side(&sides[1]);
	return 0;
}
