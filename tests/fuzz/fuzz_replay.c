/* A start on a log that says what it likes: whole groups and records with right checksums, in which stands what the input says, about any
 * actor, the engine's own among them. The engine refuses it in words, or serves, answers what it is asked, and has the same state
 * after each start from then on. */
#include <stdio.h>

#include "base/codec.h"
#include "engine/actor.h"
#include "engine/engine.h"
#include "engine/manifest.h"
#include "input.h"
#include "log/group.h"
#include "log/log.h"
#include "look_back.h"
#include "model/kv/kv.h"
#include "model/txn.h"
#include "os/sim.h"
#include "security/user.h"

#define RECORDS_MAX 12u
#define EFFECTS_MAX 12u
#define ASKED_MAX   24u

/* ---- the log ---- */

/* Mostly small; else any. */
static uint64_t take_id(struct input *input)
{
	uint8_t id = take_byte(input);

	return id < 250 ? id % 8 : take_number(input, 8);
}

/* An actor is one tenant's, and no record ever says another. */
static uint64_t tenant_of(uint64_t actor)
{
	return actor == 0 ? 0 : 1;
}

/* Up to 127 bytes, or many. */
static struct pd_slice take_long(struct input *input)
{
	size_t size = take_byte(input);

	return take_bytes(input, size < 128 ? size : (size - 127) * 16);
}

/* A key of a space, with a short name; or any. */
static struct pd_slice take_key(struct input *input, uint8_t scratch[64])
{
	uint8_t form = take_byte(input);
	struct pd_slice name;

	if (form % 4 == 3)
		return take_long(input);
	name = take_bytes(input, form >> 2 & 15);
	scratch[0] = form % 4 == 0 ? PD_SPACE_KEY : take_byte(input);
	if (name.size > 0)
		memcpy(scratch + 1, name.data, name.size);
	return pd_slice(scratch, 1 + name.size);
}

/* What an entry of this type has, mostly in a form that is right; now and then anything. */
static struct pd_slice take_value(struct input *input, uint8_t type, bool any,
				  uint8_t numbers[3 * PD_VARINT_MAX])
{
	size_t size = 0;

	if (any)
		return take_piece(input);
	if (type == PD_TYPE_HASH)
		return pd_slice(numbers, pd_varint_put(numbers, take_id(input) | 1));
	if (type != PD_TYPE_LARGE)
		return take_long(input);
	size += pd_varint_put(numbers + size, take_id(input));     /* bytes */
	size += pd_varint_put(numbers + size, take_id(input) | 1); /* the blob's number */
	size += pd_varint_put(numbers + size, take_id(input) | 1); /* bytes of a chunk */
	return pd_slice(numbers, size);
}

static void put_effect(struct pd_log_group *group, struct input *input)
{
	uint8_t kind = take_byte(input), type, scratch[64], numbers[3 * PD_VARINT_MAX];
	struct pd_slice key, value;
	const uint8_t *entry;
	uint64_t expires = 0, actor;

	switch (kind % 8) {
	case 0:
		PD_ASSERT(pd_log_record_delete(group, take_key(input, scratch)) == 0);
		return;
	case 1:
		key = take_key(input, scratch);
		PD_ASSERT(pd_log_record_delete_range(group, key, take_piece(input)) == 0);
		return;
	case 2:
	case 3:
		(void)take_byte(input);
		actor = take_id(input);
		PD_ASSERT(pd_log_record_actor(group, tenant_of(actor), actor) == 0);
		return;
	default:
		break;
	}
	type = take_byte(input);
	if (type & 0x80)
		expires = UINT64_C(1800000000000000) + take_number(input, 7);
	key = take_key(input, scratch);
	value = take_value(input, 1 + (type & 7) % 6, (type & 0x60) == 0x60, numbers);
	PD_ASSERT(pd_log_record_put(group, 1 + (type & 7) % 6, expires, key, value, &entry) == 0);
}

static void put_record(struct pd_log_group *group, struct input *input, uint64_t time_us)
{
	struct pd_record_head head = {
		.kind = PD_RECORD_TRANSACTION, .level = PD_LEVEL_STRICT, .time_us = time_us, .client = 1
	};
	unsigned effects;

	(void)take_byte(input);
	head.actor = take_id(input);
	head.tenant = tenant_of(head.actor);
	effects = take_byte(input) % EFFECTS_MAX;
	PD_ASSERT(pd_log_record_begin(group, &head) == 0);
	for (unsigned i = 0; i < effects; i++)
		put_effect(group, input);
	(void)pd_log_record_commit(group);
}

/* What every log says before it names anybody: the highest id, so that none is given twice. */
static void put_highest_id(struct pd_log_group *group, uint64_t time_us)
{
	struct pd_record_head head = { .kind = PD_RECORD_TRANSACTION,
				       .level = PD_LEVEL_STRICT,
				       .time_us = time_us };
	static const uint8_t highest = 7;
	const uint8_t *entry;

	PD_ASSERT(pd_log_record_begin(group, &head) == 0);
	PD_ASSERT(pd_log_record_put(group, PD_TYPE_SYSTEM, 0, pd_slice("n", 1), pd_slice(&highest, 1),
				    &entry) == 0);
	(void)pd_log_record_commit(group);
}

static void make_log(struct pd_os *os, struct input *input)
{
	struct pd_manifest manifest = { .cluster_id = "a fuzzed cluster", .shards = 1 };
	struct pd_log_options options = { .os = os,
					  .directory = "data/log/0000",
					  .segment_bytes = PD_LOG_SEGMENT_BYTES_MIN,
					  .queue_depth = 1 };
	struct pd_log_group *group = pd_log_group_new(), *reaped;
	uint64_t now_us = pd_os_real_us(os);
	unsigned records = 1 + take_byte(input) % RECORDS_MAX;
	struct pd_log_reader *reader;
	struct pd_log *log;

	memcpy(options.cluster_id, manifest.cluster_id, sizeof options.cluster_id);
	PD_ASSERT(group != NULL && pd_os_mkdir(os, "data", NULL) == 0);
	PD_ASSERT(pd_os_mkdir(os, "data/log", NULL) == 0 && pd_os_mkdir(os, "data/log/0000", NULL) == 0);
	PD_ASSERT(pd_log_file_open(&options, &log, NULL) == 0);
	PD_ASSERT(pd_log_reader_new(log, 1, &reader, NULL) == 0);
	PD_ASSERT(pd_log_reader_next(reader, &(struct pd_record){ 0 }, &(struct pd_log_damage){ 0 }, NULL) ==
		  PD_END);
	pd_log_reader_free(reader);
	PD_ASSERT(pd_log_begin(log, now_us, NULL) == 0);
	pd_log_group_reset(group, log->marks.tail_lsn + 1);
	put_highest_id(group, now_us + 1);
	for (unsigned i = 0; i < records; i++)
		put_record(group, input, now_us + i + 2);
	PD_ASSERT(pd_log_reserve(log, group->size, NULL) == 0);
	PD_ASSERT(pd_log_submit(log, group, PD_LOG_SYNC) == 0);
	PD_ASSERT(pd_log_reap(log, true, &reaped) == 0 && reaped == group);
	manifest.epoch = log->epoch;
	PD_ASSERT(pd_log_close(log, NULL) == 0);
	PD_ASSERT(pd_manifest_write(os, "data", &manifest, NULL) == 0);
	pd_log_group_free(group);
}

/* ---- the start ---- */

static struct pd_engine *open_engine(struct pd_os *os, uint8_t flags, struct pd_error *err)
{
	struct pd_engine_options options = PD_ENGINE_OPTIONS_DEFAULT;
	struct pd_recovery recovery = { 0 };
	struct pd_engine *engine;
	int result;

	options.os = os;
	options.data_directory = "data";
	options.segment_bytes = PD_LOG_SEGMENT_BYTES_MIN;
	options.queue_depth = 1;
	options.random_seed = 1;
	options.levels = flags & 1 ? PD_LEVELS_PLAIN : PD_LEVELS_NONE;
	options.memtable_bytes = flags & 2 ? 512 : 0;
	options.range_points_max = flags & 4 ? 1 : 0;
	options.memory_budget_bytes = UINT64_C(256) << 20;
	if (pd_engine_open(&options, &engine, err) != 0)
		return NULL;
	do
		result = pd_engine_recover(engine, 100, &recovery, err);
	while (result == 0 && !recovery.done);
	if (result == 0)
		return engine;
	(void)pd_engine_close(engine, NULL);
	return NULL;
}

/* ---- what is asked ---- */

static const struct pd_command *find(const char *name)
{
	for (size_t i = 0; i < pd_kv_command_count; i++)
		if (strcmp(pd_kv_commands[i].name, name) == 0)
			return &pd_kv_commands[i];
	PD_ASSERT(false);
	return NULL;
}

static void ask(struct pd_engine *engine, struct pd_session *session, const struct pd_command *command,
		const struct pd_slice *words, size_t count)
{
	struct pd_request_command one = { .command = command, .words = words, .count = count };
	struct pd_request request = { .session = session, .commands = &one, .count = 1 };
	struct pd_receipt receipt;
	struct pd_buffer reply;
	struct pd_resp_writer writer = { .buffer = &reply, .protocol = 3 };
	struct pd_error err = { 0 };

	pd_buffer_init(&reply, 1 << 28);
	if (pd_engine_execute(engine, &request, &writer, &receipt, &err) == 0)
		PD_ASSERT(pd_resp_reply_size(reply.data, reply.size) == reply.size);
	else
		PD_ASSERT(err.text[0] != '\0' && reply.size == 0);
	pd_buffer_done(&reply);
}

static void ask_all(struct pd_engine *engine, struct input *input)
{
	static const char *const names[] = {
		"get", "hgetall", "strlen", "type",   "dump",   "append",   "hset",  "del",     "keys",
		"ttl", "hdel",    "copy",   "rename", "setbit", "getrange", "hscan", "persist", "bitcount"
	};
	struct pd_session *session = pd_session_new(engine, 1, "fuzz", "fuzz");
	unsigned count = take_byte(input) % ASKED_MAX;

	PD_ASSERT(session != NULL);
	for (unsigned i = 0; i < count; i++) {
		const struct pd_command *command = find(
			names[take_byte(input) % (sizeof names / sizeof names[0])]);
		struct pd_slice words[4] = { pd_slice_string(command->name) };
		size_t wanted = (size_t)abs(command->arity);

		if (take_byte(input) % 8 == 0)
			(void)!pd_session_use(session, take_piece(input), &(struct pd_error){ 0 });
		words[1] = take_bytes(input, take_byte(input) % 8);
		words[2] = wanted > 2 ? pd_slice_string("1") : words[1];
		words[3] = pd_slice_string("0");
		ask(engine, session, command, words, wanted < 4 ? wanted : 4);
	}
	pd_session_free(session);
}

/* What is known of each actor; with `drop`, one of them goes. */
static void look_at_actors(struct pd_engine *engine, bool drop)
{
	struct pd_session *session = pd_session_new(engine, 2, "fuzz", "fuzz");
	struct pd_actor_place place = { 0 };
	struct pd_error err = { 0 };
	struct pd_actor_info info;
	struct pd_receipt receipt;
	uint64_t looks = 1000;
	struct pd_slice name;
	uint8_t *copy;

	PD_ASSERT(session != NULL);
	while (pd_engine_next_actor(engine, session, pd_slice(NULL, 0), place.id, &looks, &place, &err) ==
	       1) {
		int result = pd_engine_actor_info(engine, session, place.name, &info, &err);

		PD_ASSERT(result == 0 ? info.id == place.id : err.text[0] != '\0');
	}
	copy = copy_bytes(place.name); /* the actor's own goes with it */
	name = pd_slice(copy, place.name.size);
	if (drop && place.id != 0 && pd_engine_drop_actor(engine, session, name, &receipt, &err) == 0)
		PD_ASSERT(pd_engine_actor_info(engine, session, name, &info, &err) == PD_NOT_FOUND);
	free(copy);
	pd_session_free(session);
}

static void look(struct pd_engine *engine, uint8_t flags)
{
	struct pd_users users = { 0 };
	struct pd_error err = { 0 };

	look_at_actors(engine, (flags & 8) != 0);

	if (pd_users_load(&users, engine, &err) != 0)
		PD_ASSERT(err.text[0] != '\0');
	pd_users_done(&users);
	(void)!pd_engine_check_large(engine, &err);
	(void)!pd_engine_step(engine);
}

/* false: it cannot be read. */
static bool hash_of_start(struct pd_os *os, uint8_t flags, struct pd_hash128 *ret_hash)
{
	struct pd_error err = { 0 };
	struct pd_engine *engine = open_engine(os, flags, &err);
	bool known;

	if (engine == NULL) {
		PD_ASSERT(err.text[0] != '\0');
		return false;
	}
	known = pd_engine_state_hash(engine, NULL, pd_slice(NULL, 0), ret_hash, &err) == 0;
	PD_ASSERT(pd_engine_close(engine, &err) == 0);
	return known;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct input input = { data, size };
	uint8_t flags = take_byte(&input);
	struct pd_hash128 before, after;
	struct pd_error err = { 0 };
	struct pd_engine *engine;
	bool known;
	struct pd_os *os;

	PD_ASSERT(pd_os_sim_new(&machine, &os, NULL) == 0);
	make_log(os, &input);
	if (flags & 16)
		look_back(os);
	engine = open_engine(os, flags, &err);
	if (engine == NULL) {
		PD_ASSERT(err.code == PD_CORRUPT || err.code == PD_INVALID);
		PD_ASSERT(err.text[0] != '\0');
		pd_os_free(os);
		return 0;
	}
	look(engine, flags);
	ask_all(engine, &input);
	PD_ASSERT(pd_engine_close(engine, &err) == 0);
	/* A log may contradict itself, and still says the same each time. */
	known = hash_of_start(os, flags, &before);
	PD_ASSERT(hash_of_start(os, flags, &after) == known);
	PD_ASSERT(!known || (before.low == after.low && before.high == after.high));
	pd_os_free(os);
	return 0;
}
