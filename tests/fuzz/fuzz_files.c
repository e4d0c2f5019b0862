/* A directory whose files were altered: the log, the state, its checkpoints, the manifest. It is opened and read, with everything that
 * looks at it.
 *
 * As the bytes stand, nothing that is read is wrong: a key has a value that was written to it, or is not there, or is refused in words;
 * and where only the state was altered, all of the log is there, so nothing that was written is missing. With `sealed`, the checksums of
 * the live levels are put right after the change, and nothing is promised but that the process lives, and has words. */
#include <stdio.h>

#include "engine/engine.h"
#include "engine/upkeep.h"
#include "input.h"
#include "level_files.h"
#include "look_back.h"
#include "model/kv/kv.h"
#include "os/sim.h"

#define KEYS      12u
#define ROUNDS    3u /* each key is written so often */
#define FILES_MAX 48u
#define LIVE      "data/store/0000/live"
#define LARGE     600u /* bytes of the large ones */

struct world {
	struct pd_os *os;
	struct pd_engine *engine;
	struct pd_session *session;
	struct pd_buffer reply;
	struct pd_error err;
	uint8_t flags;
};

/* ---- the engine ---- */

static bool open_engine(struct world *world)
{
	struct pd_engine_options options = PD_ENGINE_OPTIONS_DEFAULT;
	struct pd_recovery recovery = { 0 };
	int result;

	options.os = world->os;
	options.data_directory = "data";
	options.segment_bytes = PD_LOG_SEGMENT_BYTES_MIN;
	options.queue_depth = 1;
	options.random_seed = 1;
	options.levels = PD_LEVELS_PLAIN;
	options.memtable_bytes = world->flags & 1 ? 1024 : 0;
	options.large_min = 512;
	options.chunk_size = 128;
	options.memory_budget_bytes = UINT64_C(256) << 20;
	options.accept_damage = (world->flags & 2) != 0;
	world->err = (struct pd_error){ 0 };
	if (pd_engine_open(&options, &world->engine, &world->err) != 0)
		return false;
	do
		result = pd_engine_recover(world->engine, 100, &recovery, &world->err);
	while (result == 0 && !recovery.done);
	world->session = result == 0 ? pd_session_new(world->engine, 1, "fuzz", "fuzz") : NULL;
	if (world->session != NULL)
		return true;
	(void)pd_engine_close(world->engine, NULL);
	return false;
}

static void close_engine(struct world *world)
{
	pd_session_free(world->session);
	(void)pd_engine_close(world->engine, NULL);
}

static int run(struct world *world, const char *name, const struct pd_slice *words, size_t count)
{
	const struct pd_command *command = pd_kv_commands;
	struct pd_resp_writer writer = { .buffer = &world->reply, .protocol = 2 };
	struct pd_request_command one = { .words = words, .count = count };
	struct pd_request request = { .session = world->session, .commands = &one, .count = 1 };
	struct pd_receipt receipt;

	while (strcmp(command->name, name) != 0)
		command++;
	one.command = command;
	pd_buffer_clear(&world->reply);
	world->err = (struct pd_error){ 0 };
	return pd_engine_execute(world->engine, &request, &writer, &receipt, &world->err);
}

/* ---- what is in it ---- */

static void name_key(unsigned key, char name[16])
{
	(void)snprintf(name, 16, "{a%u}k%u", key % 3, key);
}

/* The large ones are long, and each value says whose and which it is. */
static size_t make_value(unsigned key, unsigned round, char value[LARGE + 1])
{
	size_t size = key % 4 == 3 ? LARGE : 24;

	memset(value, 'a' + (int)((key + round) % 26), size);
	(void)snprintf(value, 24, "value-%u-%u-", key, round);
	value[strlen(value)] = '.';
	value[size] = '\0';
	return size;
}

static void write_all(struct world *world, unsigned round)
{
	for (unsigned key = 0; key < KEYS; key++) {
		char name[16], value[LARGE + 1];
		size_t size = make_value(key, round, value);
		struct pd_slice words[] = { pd_slice_string("x"), pd_slice_string(name),
					    pd_slice(value, size), pd_slice(value, size) };
		bool hash = key % 4 == 2;

		name_key(key, name);
		words[1] = pd_slice_string(name);
		if (hash)
			words[2] = pd_slice_string("field");
		PD_ASSERT(run(world, hash ? "hset" : "set", words, hash ? 4 : 3) == 0);
		PD_ASSERT(pd_engine_step(world->engine) == 0);
	}
}

static void make_checkpoint(struct world *world)
{
	struct pd_upkeep_status status;

	PD_ASSERT(pd_engine_upkeep_start(world->engine, PD_UPKEEP_CHECKPOINT, &world->err) == 0);
	for (unsigned i = 0; i < 10000; i++) {
		PD_ASSERT(pd_engine_step(world->engine) == 0);
		pd_engine_upkeep_status(world->engine, &status);
		if (!status.running)
			break;
		pd_sim_advance_us(world->os, 10000);
	}
	PD_ASSERT(!status.running && status.result == 0);
}

static void make_directory(struct world *world)
{
	PD_ASSERT(open_engine(world));
	for (unsigned round = 0; round < ROUNDS; round++) {
		write_all(world, round);
		if (round == 0)
			make_checkpoint(world);
	}
	close_engine(world);
}

/* ---- altering it ---- */

struct files {
	char paths[FILES_MAX][160];
	unsigned count;
};

static void find_files(struct pd_os *os, const char *directory, struct files *files)
{
	struct pd_os_names names;

	PD_ASSERT(pd_os_list(os, directory, &names, NULL) == 0);
	for (size_t i = 0; i < names.count && files->count < FILES_MAX; i++) {
		char *path = files->paths[files->count];
		const uint8_t *content;
		struct pd_os_names below;
		uint64_t size;

		(void)snprintf(path, sizeof files->paths[0], "%s/%s", directory, names.names[i]);
		if (pd_sim_content(os, path, &content, &size) == 0) {
			files->count += size > 0;
		} else if (pd_os_list(os, path, &below, NULL) == 0) {
			char copy[sizeof files->paths[0]];

			pd_os_names_done(&below);
			memcpy(copy, path, sizeof copy);
			find_files(os, copy, files);
		}
	}
	pd_os_names_done(&names);
}

static void change(uint8_t *image, size_t size, struct input *input)
{
	unsigned count = take_byte(input) % 4;

	while (count-- > 0 && size > 0)
		image[take_number(input, 2) % size] ^= take_byte(input);
}

/* Overwrite, zero or remove. */
static void alter(struct pd_os *os, const char *path, struct input *input)
{
	uint8_t how = take_byte(input);
	uint64_t size, at = take_number(input, 3);
	const uint8_t *content;
	static const uint8_t zeros[512];

	if (pd_sim_content(os, path, &content, &size) != 0 || size == 0)
		return;
	at %= size;
	if (how % 16 == 15) {
		PD_ASSERT(pd_os_unlink(os, path, NULL) == 0);
	} else if (how % 4 == 3) {
		size -= at;
		PD_ASSERT(pd_sim_damage(os, path, at, zeros,
					size < sizeof zeros ? (size_t)size : sizeof zeros) == 0);
	} else {
		struct pd_slice bytes = take_bytes(input, 1 + how % 16);

		size -= at;
		if (bytes.size > 0)
			PD_ASSERT(pd_sim_damage(os, path, at, bytes.data,
						bytes.size < size ? bytes.size : (size_t)size) == 0);
	}
}

/* true: nothing but the state has been touched. */
static bool alter_directory(struct world *world, struct input *input)
{
	unsigned count = take_byte(input) % 4;
	struct files *files = calloc(1, sizeof *files);
	bool only_state = true;

	PD_ASSERT(files != NULL);
	find_files(world->os, world->flags & 4 ? "data/store" : "data", files);
	while (count-- > 0 && files->count > 0) {
		const char *path = files->paths[take_byte(input) % files->count];

		only_state = only_state && strncmp(path, "data/store/", 11) == 0;
		alter(world->os, path, input);
	}
	free(files);
	return only_state;
}

/* ---- reading it ---- */

/* A bulk that is one of the values that were written to it; or none. */
static void check_reply(struct world *world, unsigned key, bool complete)
{
	struct pd_slice reply = pd_buffer_slice(&world->reply);
	char value[LARGE + 1], expected[LARGE + 32];

	if (pd_slice_equal(reply, pd_slice_string("$-1\r\n"))) {
		PD_ASSERT(!complete);
		return;
	}
	for (unsigned round = complete ? ROUNDS - 1 : 0; round < ROUNDS; round++) {
		size_t size = make_value(key, round, value);

		(void)snprintf(expected, sizeof expected, "$%zu\r\n%s\r\n", size, value);
		if (pd_slice_equal(reply, pd_slice_string(expected)))
			return;
	}
	PD_ASSERT(!"a value that nobody has written");
}

static void read_all(struct world *world, bool sealed, bool complete)
{
	for (unsigned key = 0; key < KEYS; key++) {
		struct pd_slice words[] = { pd_slice_string("x"), pd_slice(NULL, 0),
					    pd_slice_string("field") };
		bool hash = key % 4 == 2;
		char name[16];
		int result;

		name_key(key, name);
		words[1] = pd_slice_string(name);
		result = run(world, hash ? "hget" : "get", words, hash ? 3 : 2);
		if (result != 0)
			PD_ASSERT(world->err.text[0] != '\0' && world->reply.size == 0);
		else if (!sealed)
			check_reply(world, key, complete);
		else
			PD_ASSERT(pd_resp_reply_size(world->reply.data, world->reply.size) ==
				  world->reply.size);
	}
}

/* What people ask a damaged directory, and what they do to it then. */
static void use(struct world *world)
{
	static const char *const names[] = { "hgetall", "del",  "append", "hset",
					     "rename",  "dump", "strlen", "copy" };
	struct pd_hash128 hash;

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		char from[16], to[16];
		struct pd_slice words[] = { pd_slice_string(names[i]), pd_slice(NULL, 0), pd_slice(NULL, 0),
					    pd_slice_string("v") };
		bool two = strcmp(names[i], "append") == 0 || strcmp(names[i], "rename") == 0 ||
			   strcmp(names[i], "copy") == 0;

		name_key(i, from);
		name_key(i + 3, to);
		words[1] = pd_slice_string(from);
		words[2] = pd_slice_string(to);
		if (run(world, names[i], words, strcmp(names[i], "hset") == 0 ? 4 : two ? 3 : 2) != 0)
			PD_ASSERT(world->err.text[0] != '\0');
		PD_ASSERT(pd_engine_step(world->engine) == 0);
	}
	world->err = (struct pd_error){ 0 };
	if (pd_engine_state_hash(world->engine, NULL, pd_slice(NULL, 0), &hash, &world->err) != 0)
		PD_ASSERT(world->err.text[0] != '\0');
	world->err = (struct pd_error){ 0 };
	if (pd_engine_check_large(world->engine, &world->err) != 0)
		PD_ASSERT(world->err.text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct input input = { data, size };
	struct world world = { .flags = take_byte(&input) };
	bool sealed = (world.flags & 8) != 0, only_state = true;

	pd_buffer_init(&world.reply, 1 << 26);
	PD_ASSERT(pd_os_sim_new(&machine, &world.os, NULL) == 0);
	make_directory(&world);
	if (sealed)
		change_level_files(world.os, LIVE, change, &input);
	else
		only_state = alter_directory(&world, &input);
	look_back(world.os);
	if (open_engine(&world)) {
		read_all(&world, sealed, only_state);
		use(&world);
		close_engine(&world);
		if (open_engine(&world))
			close_engine(&world);
		else
			PD_ASSERT(world.err.text[0] != '\0');
	} else {
		PD_ASSERT(world.err.text[0] != '\0');
	}
	pd_buffer_done(&world.reply);
	pd_os_free(world.os);
	return 0;
}
