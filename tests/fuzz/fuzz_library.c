/* Calls of include/perdure.h in any order, with any arguments, on a database in memory: each says 0 or a code with words, nothing crashes,
 * and everything that was given is freed. */
#include <limits.h>
#include <stdio.h>

#include "input.h"
#include "perdure.h"

#define CALLS_MAX 60u
#define SESSIONS  2u
#define SCANS     3u
#define WORDS_MAX 6u

struct world {
	struct input input;
	struct perdure *db;
	struct perdure_session *sessions[SESSIONS], *session; /* the one that is used now */
	struct perdure_scan *scans[SCANS];
	struct perdure_error err;
};

static void check(struct world *world, int result)
{
	if (result == 0 || result == PERDURE_END)
		return;
	PD_ASSERT(result < 0 && world->err.code == result);
	PD_ASSERT(world->err.text[0] != '\0' &&
		  strnlen(world->err.text, PERDURE_ERROR_TEXT_SIZE) < PERDURE_ERROR_TEXT_SIZE);
	world->err = (struct perdure_error){ 0 };
}

/* Something short and known, any bytes, none, or a lie about them. */
static struct perdure_bytes take(struct world *world)
{
	static const char *const known[] = {
		"a", "b", "main", "{x}a", "1", "log", "00000000000000000001", "next", "field", "first"
	};
	uint8_t pick = take_byte(&world->input);
	struct pd_slice piece;

	if (pick < 160)
		return perdure_text(known[pick % (sizeof known / sizeof known[0])]);
	if (pick < 170)
		return perdure_data(NULL, pick % 3);
	piece = take_piece(&world->input);
	return perdure_data(piece.data, piece.size);
}

/* Small, at the edges, or any. */
static uint64_t take_any(struct world *world)
{
	uint8_t pick = take_byte(&world->input);

	if (pick < 128)
		return pick;
	if (pick < 160)
		return UINT64_MAX - pick % 4;
	return take_number(&world->input, 8);
}

/* ---- one call each ---- */

static void read_value(struct world *world, int result, struct perdure_value *value)
{
	check(world, result);
	if (result != 0)
		return;
	PD_ASSERT(((const char *)value->data)[value->size] == '\0');
	perdure_free(value->data);
}

static void call_get(struct world *world)
{
	struct perdure_bytes actor = take(world), key = take(world);
	struct perdure_value value;

	read_value(world, perdure_get(world->session, actor, key, &value, &world->err), &value);
	read_value(world, perdure_hash_get(world->session, actor, key, take(world), &value, &world->err),
		   &value);
}

static void call_put(struct world *world)
{
	struct perdure_bytes actor = take(world), key = take(world), value = take(world);

	if (take_byte(&world->input) % 2 == 0)
		check(world, perdure_put(world->session, actor, key, value, &world->err));
	else
		check(world,
		      perdure_put_until(world->session, actor, key, value, take_any(world), &world->err));
}

static void call_key(struct world *world)
{
	struct perdure_bytes actor = take(world), key = take(world);
	uint8_t pick = take_byte(&world->input);
	struct perdure_key_info info;
	int flag;

	check(world, perdure_look(world->session, actor, key, &info, &world->err));
	if (pick % 3 == 0)
		check(world,
		      perdure_delete(world->session, actor, key, pick & 8 ? &flag : NULL, &world->err));
	if (pick % 3 == 1)
		check(world, perdure_expire(world->session, actor, key, take_any(world),
					    pick & 8 ? &flag : NULL, &world->err));
}

static void call_hash(struct world *world)
{
	struct perdure_bytes actor = take(world), key = take(world), field = take(world);
	int *flag = &(int){ 0 };

	if (take_byte(&world->input) % 4 == 0)
		check(world, perdure_hash_delete(world->session, actor, key, field, flag, &world->err));
	else
		check(world,
		      perdure_hash_set(world->session, actor, key, field, take(world), flag, &world->err));
}

static void call_transaction(struct world *world)
{
	struct perdure_transaction_options options = PERDURE_TRANSACTION_OPTIONS_INIT;
	uint8_t pick = take_byte(&world->input);
	struct perdure_receipt receipt;

	switch (pick % 5) {
	case 0:
		options.level = (int)take_number(&world->input, 1) - 1;
		options.size = pick & 64 ? take_any(world) : options.size;
		options.idempotency_key = take(world);
		options.request_id = take(world);
		check(world, perdure_begin(world->session, pick & 32 ? NULL : &options, &world->err));
		break;
	case 1:
		check(world, perdure_commit(world->session, &receipt, &world->err));
		(void)perdure_result(world->session);
		break;
	case 2:
		perdure_rollback(world->session);
		PD_ASSERT(perdure_in_transaction(world->session) == 0);
		break;
	case 3:
		check(world, perdure_set_result(world->session, take(world), &world->err));
		break;
	default:
		check(world, perdure_require(world->session, pick % 7, take(world), take(world),
					     take_any(world), take(world), &world->err));
	}
}

static void call_scan(struct world *world)
{
	struct perdure_scan **scan = &world->scans[take_byte(&world->input) % SCANS];
	struct perdure_range range = PERDURE_RANGE_INIT;
	struct perdure_bytes actor = take(world);
	uint8_t pick = take_byte(&world->input);
	int result;

	perdure_scan_free(*scan);
	*scan = NULL;
	range.from = take(world);
	range.prefix = take(world);
	range.limit = take_any(world);
	if (pick % 4 == 0)
		result = perdure_scan_keys(world->session, actor, &range, scan, &world->err);
	else if (pick % 4 == 1)
		result = perdure_hash_scan(world->session, actor, take(world), &range, scan, &world->err);
	else if (pick % 4 == 2)
		result = perdure_log_read(world->session, actor, take(world), take_any(world), range.limit,
					  scan, &world->err);
	else
		result = perdure_actor_scan(world->session, scan, &world->err);
	check(world, result);
}

static void call_next(struct world *world)
{
	struct perdure_scan *scan = world->scans[take_byte(&world->input) % SCANS];
	struct perdure_item item;

	for (unsigned i = take_byte(&world->input) % 4; scan != NULL && i > 0; i--)
		check(world, perdure_scan_next(scan, &item, &world->err));
}

static void call_log(struct world *world)
{
	struct perdure_bytes actor = take(world), key = take(world);
	uint64_t first, next;

	if (take_byte(&world->input) % 4 == 0)
		check(world, perdure_log_trim(world->session, actor, key, take_any(world), &world->err));
	else
		check(world, perdure_log_append(world->session, actor, key, take(world), &next, &world->err));
	if (perdure_log_look(world->session, actor, key, &first, &next, &world->err) == 0)
		PD_ASSERT(first <= next);
}

static void call_actor(struct world *world)
{
	struct perdure_actor_info info = PERDURE_ACTOR_INFO_INIT;
	struct perdure_bytes actor = take(world);
	uint8_t pick = take_byte(&world->input);

	if (pick % 4 == 0)
		check(world, perdure_actor_drop(world->session, actor, &world->err));
	else if (pick % 4 == 1)
		check(world, perdure_actor_set_level(world->session, actor, pick - 8, &world->err));
	else if (pick % 4 == 2)
		check(world, perdure_session_use(world->session, actor, &world->err));
	else
		check(world, perdure_actor_look(world->session, actor, &info, &world->err));
}

static void call_lease(struct world *world)
{
	struct perdure_bytes actor = take(world), owner = take(world);
	uint8_t pick = take_byte(&world->input);
	struct perdure_lease lease;
	uint64_t epoch = 0;

	if (pick % 5 == 0)
		check(world, perdure_lease_renew(world->session, actor, owner, take_any(world),
						 take_any(world), &world->err));
	else if (pick % 5 == 1)
		check(world,
		      perdure_lease_release(world->session, actor, owner, take_any(world), &world->err));
	else if (pick % 5 == 2)
		check(world, perdure_claim(world->session, actor, take_any(world), &world->err));
	else if (pick % 5 == 3)
		check(world, perdure_lease_look(world->session, actor, &lease, &world->err));
	else
		check(world, perdure_lease_acquire(world->session, actor, owner, take_any(world), pick & 16,
						   &epoch, &world->err));
}

static void call_command(struct world *world)
{
	static const char *const names[] = { "GET",  "SET",    "HGETALL", "INCR",    "APPEND", "SETRANGE",
					     "MSET", "BITPOS", "KEYS",    "RESTORE", "DUMP",   "EXPIRE",
					     "LCS",  "RENAME", "OBJECT",  "HMGET",   "BITOP",  "FLUSHDB" };
	struct perdure_bytes words[WORDS_MAX] = { perdure_text(
		names[take_byte(&world->input) % (sizeof names / sizeof names[0])]) };
	size_t count = take_byte(&world->input) % (WORDS_MAX + 1);
	struct perdure_reply *reply = NULL;

	for (size_t i = 1; i < count; i++)
		words[i] = take(world);
	check(world, perdure_command(world->session, count, words, &reply, &world->err));
	perdure_reply_free(reply);
}

static void call_other(struct world *world)
{
	struct perdure_status status = PERDURE_STATUS_INIT;
	uint8_t pick = take_byte(&world->input);
	char text[64];

	switch (pick % 4) {
	case 0:
		status.size = pick & 64 ? pick : status.size;
		check(world, perdure_get_status(world->db, &status, &world->err));
		break;
	case 1:
		(void)snprintf(text, sizeof text, "%04x-%010llx-%016llx", pick & 4 ? 1 : 0,
			       (unsigned long long)take_number(&world->input, 2),
			       (unsigned long long)take_any(world));
		check(world, perdure_bookmark_check(world->db, text, &world->err));
		break;
	case 2:
		check(world, perdure_session_set_level(world->session, pick / 4 - 4, &world->err));
		break;
	default:
		check(world, perdure_upkeep(world->db, pick / 8, text, sizeof text, &world->err));
		check(world, perdure_sync(world->db, &world->err));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const calls[])(struct world * world) = { call_get,         call_put,   call_key,
							       call_hash,        call_log,   call_actor,
							       call_transaction, call_scan,  call_next,
							       call_lease,       call_other, call_command };
	struct perdure_options options = PERDURE_OPTIONS_INIT;
	struct world world = { .input = { data, size } };
	uint8_t pick;

	options.flags = PERDURE_OPEN_IN_MEMORY;
	options.memory_budget_bytes = UINT64_C(64) << 20;
	PD_ASSERT(perdure_open(NULL, &options, &world.db, &world.err) == 0);
	for (unsigned i = 0; i < SESSIONS; i++)
		PD_ASSERT(perdure_session_new(world.db, NULL, &world.sessions[i], &world.err) == 0);
	for (unsigned i = 0; i < CALLS_MAX && world.input.size > 0; i++) {
		pick = take_byte(&world.input);
		world.session = world.sessions[pick / 128 % SESSIONS];
		calls[pick % (sizeof calls / sizeof calls[0])](&world);
	}
	for (unsigned i = 0; i < SCANS; i++)
		perdure_scan_free(world.scans[i]);
	for (unsigned i = 0; i < SESSIONS; i++)
		perdure_session_free(world.sessions[i]);
	PD_ASSERT(perdure_close(world.db, &world.err) == 0);
	return 0;
}
