/* PD.*: what Redis has no words for. */
#include <stdio.h>

#include "engine/state_hash.h"
#include "front/resp/front_private.h"
#include "os/os.h"

#define HASH_LOOK_NS 5000000u /* between two looks whether a hash is there */

/* "+OK", or the error of `result`. */
static void write_result(struct pd_resp_call *call, int result, const struct pd_error *err)
{
	if (result == 0)
		pd_resp_write_status(call->reply, "OK");
	else
		pd_resp_write_engine_error(call->reply, result, err);
}

static void answer_use(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_slice name = { 0 };
	struct pd_error err = { 0 };

	if (session == NULL)
		return;
	/* Watched keys are remembered by actor, within the tenant. */
	if (call->client->transaction.watched_count > 0) {
		pd_resp_write_error(call->reply,
				    "ERR PD.USE while keys are WATCHed is not allowed; UNWATCH first");
		return;
	}
	if (call->count > 2) {
		pd_resp_write_error(call->reply, "ERR wrong number of arguments for 'pd.use' command");
		return;
	}
	if (call->count == 2) {
		name = call->words[1];
		if (name.size == 0) {
			pd_resp_write_error(call->reply,
					    "ERR an actor's name is not empty; PD.USE alone goes back to the "
					    "whole tenant");
			return;
		}
	}
	write_result(call, pd_session_use(session, name, &err), &err);
}

static bool parse_level(struct pd_resp_call *call, struct pd_slice word, enum pd_level *ret_level)
{
	if (pd_slice_equal_nocase(word, "default")) {
		*ret_level = PD_LEVEL_UNSET;
		return true;
	}
	if (pd_level_parse(word, ret_level))
		return true;
	pd_resp_write_errorf(call->reply,
			     "ERR no durability level is called '%.*s'; there are none, performance, "
			     "standard, strict, full, critical and default",
			     (int)(word.size < 64 ? word.size : 64), (const char *)word.data);
	return false;
}

static void answer_durability(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_error err = { 0 };
	enum pd_level level;

	if (session == NULL)
		return;
	if (call->count > 2) {
		pd_resp_write_error(call->reply, "ERR wrong number of arguments for 'pd.durability' command");
	} else if (call->count == 1) {
		level = pd_session_level(session);
		pd_resp_write_bulk_string(call->reply,
					  level == PD_LEVEL_UNSET ? "default" : pd_level_name(level));
	} else if (parse_level(call, call->words[1], &level)) {
		write_result(call, pd_session_set_level(session, level, &err), &err);
	}
}

static void answer_readlevel(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	bool strict = pd_slice_equal_nocase(call->words[1], "strict");

	if (session == NULL)
		return;
	if (!strict && !pd_slice_equal_nocase(call->words[1], "default")) {
		pd_resp_write_error(call->reply, "ERR a read level is default or strict");
		return;
	}
	pd_session_set_read_strict(session, strict);
	pd_resp_write_status(call->reply, "OK");
}

static void answer_idempotency(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;
	struct pd_slice key = call->words[1];

	if (key.size == 0 || key.size > PD_RESP_IDEMPOTENCY_KEY_MAX) {
		pd_resp_write_errorf(call->reply, "ERR an idempotency key has 1 to %d bytes",
				     PD_RESP_IDEMPOTENCY_KEY_MAX);
		return;
	}
	memcpy(client->idempotency_key, key.data, key.size);
	client->idempotency_size = key.size;
	pd_resp_write_status(call->reply, "OK");
}

static void answer_request(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;
	struct pd_slice id = call->count > 1 ? call->words[1] : pd_slice(NULL, 0);

	if (call->count > 2) {
		pd_resp_write_error(call->reply, "ERR syntax error: PD.REQUEST [id]");
		return;
	}
	if (id.size > PD_RESP_REQUEST_ID_MAX || (call->count > 1 && id.size == 0)) {
		pd_resp_write_errorf(call->reply, "ERR the id of a request has 1 to %d bytes",
				     PD_RESP_REQUEST_ID_MAX);
		return;
	}
	if (id.size > 0)
		memcpy(client->request_id, id.data, id.size);
	client->request_id_size = id.size;
	pd_resp_write_status(call->reply, "OK");
}

static void write_bookmark(struct pd_resp_writer *reply, uint64_t epoch, uint64_t lsn)
{
	char text[PD_BOOKMARK_SIZE];

	pd_bookmark_format(0, epoch, lsn, text);
	pd_resp_write_bulk_string(reply, text);
}

static void answer_receipt(struct pd_resp_call *call)
{
	const struct pd_receipt *receipt = &call->client->last_write;

	if (receipt->lsn == 0) {
		pd_resp_write_null(call->reply);
		return;
	}
	pd_resp_write_map(call->reply, 5);
	pd_resp_write_bulk_string(call->reply, "bookmark");
	write_bookmark(call->reply, receipt->epoch, receipt->lsn);
	pd_resp_write_bulk_string(call->reply, "level");
	pd_resp_write_bulk_string(call->reply, pd_level_name(receipt->level));
	pd_resp_write_bulk_string(call->reply, "durable");
	pd_resp_write_boolean(call->reply, pd_engine_durable(call->client->front->engine, receipt->lsn));
	pd_resp_write_bulk_string(call->reply, "time_us");
	pd_resp_write_integer(call->reply, (int64_t)receipt->time_us);
	pd_resp_write_bulk_string(call->reply, "duplicate");
	pd_resp_write_boolean(call->reply, receipt->duplicate);
}

static void answer_bookmark(struct pd_resp_call *call)
{
	const struct pd_engine *engine = call->client->front->engine;
	uint64_t epoch, lsn;
	uint32_t shard;

	if (call->count == 1) {
		pd_engine_now(engine, &epoch, &lsn);
		write_bookmark(call->reply, epoch, lsn);
		pd_resp_wait_for_now(call);
		return;
	}
	if (call->count > 2) {
		pd_resp_write_error(call->reply, "ERR wrong number of arguments for 'pd.bookmark' command");
		return;
	}
	if (pd_bookmark_parse(call->words[1], &shard, &epoch, &lsn) != 0) {
		pd_resp_write_error(call->reply,
				    "ERR that is no bookmark; PD.BOOKMARK and PD.RECEIPT give some");
		return;
	}
	pd_resp_wait_for_now(call);
	switch (shard == 0 ? pd_engine_check_bookmark(engine, epoch, lsn) : PD_INVALID) {
	case 0:
		pd_resp_write_bulk_string(call->reply, "reached");
		break;
	case PD_LOST:
		pd_resp_write_bulk_string(call->reply, "lost");
		break;
	case PD_AGAIN:
		pd_resp_write_bulk_string(call->reply, "future");
		break;
	default:
		pd_resp_write_error(call->reply,
				    "ERR this bookmark is not from here: no such shard or epoch");
		break;
	}
}

/* Everybody else is served while it is found out: this connection asks again until it is there. */
static int find_hash(struct pd_resp_call *call, struct pd_session *session, struct pd_slice actor,
		     struct pd_hash128 *ret_hash, struct pd_error *err)
{
	struct pd_resp_client *client = call->client;
	struct pd_engine *engine = client->front->engine;
	int result = 0;

	if (client->hash == NULL)
		result = pd_state_hash_start(engine, session, actor, &client->hash, err);
	if (result == PD_NOT_SUPPORTED) {
		/* In memory only: what there is can be gone over here and now. */
		pd_resp_wait_for_now(call);
		return pd_engine_state_hash(engine, session, actor, ret_hash, err);
	}
	if (result == 0) {
		result = pd_state_hash_result(client->hash, ret_hash, &call->wait_storage, err);
		call->wait = &call->wait_storage;
		if (result == PD_AGAIN)
			return result;
		pd_state_hash_free(client->hash);
		client->hash = NULL;
	} else if (result != PD_AGAIN) {
		pd_resp_wait_for_now(call);
	}
	return result;
}

static void answer_statehash(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_slice actor = { 0 };
	struct pd_hash128 hash;
	struct pd_error err = { 0 };
	char text[33];
	int result;

	if (session == NULL)
		return;
	if (call->count > 2) {
		pd_resp_write_error(call->reply, "ERR wrong number of arguments for 'pd.statehash' command");
		return;
	}
	if (call->count == 2)
		actor = call->words[1];
	result = find_hash(call, session, actor, &hash, &err);
	if (result == PD_AGAIN) {
		call->client->brake_until_ns = pd_os_monotonic_ns(call->client->front->os) + HASH_LOOK_NS;
		pd_resp_front_stall(call->client, PD_RESP_STALL_BRAKE);
		call->later = true;
		return;
	}
	if (result != 0) {
		pd_resp_write_engine_error(call->reply, result, &err);
		return;
	}
	pd_hash128_format(hash, text);
	pd_resp_write_bulk_string(call->reply, text);
}

/* PD.PROFILE TENANT level | PD.PROFILE ACTOR name level */
static void answer_profile(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	bool tenant = pd_slice_equal_nocase(call->words[1], "tenant") && call->count == 3;
	bool actor = pd_slice_equal_nocase(call->words[1], "actor") && call->count == 4;
	struct pd_receipt receipt = { 0 };
	struct pd_slice name = { 0 };
	struct pd_error err = { 0 };
	enum pd_level level;
	int result;

	if (session == NULL)
		return;
	if (!tenant && !actor) {
		pd_resp_write_error(
			call->reply,
			"ERR syntax error: PD.PROFILE TENANT level, or PD.PROFILE ACTOR name level");
		return;
	}
	if (actor)
		name = call->words[2];
	if (actor && name.size == 0) {
		pd_resp_write_error(call->reply, "ERR an actor's name is not empty");
		return;
	}
	if (!parse_level(call, call->words[call->count - 1], &level))
		return;
	result = pd_engine_set_profile(call->client->front->engine, session, name, level, &receipt, &err);
	if (pd_resp_must_wait(call->client, result, &receipt)) {
		call->later = true;
		return;
	}
	write_result(call, result, &err);
	if (result == 0 && receipt.lsn != 0)
		call->client->last_write = receipt;
	if (result != PD_FENCED) /* then nothing was done, and there is nothing to wait for */
		pd_resp_wait_for_now(call);
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"PD.USE [[tenant/]actor]",
		"    Make an actor the current one of this connection; alone: back to the whole tenant.",
		"PD.DURABILITY [none|performance|standard|strict|default]",
		"    When this connection's writes are acknowledged; alone: show it.",
		"PD.READLEVEL default|strict",
		"    strict: reads, too, wait until everything before them is on stable storage.",
		"PD.IDEMPOTENCY key",
		"    The next write, or the next MULTI ... EXEC, happens once, however often it is sent with "
		"this key.",
		"PD.RECEIPT",
		"    Of this connection's last write: bookmark, level, durable, time_us, duplicate.",
		"PD.BOOKMARK [bookmark]",
		"    This moment; with an argument: is that moment reached, lost or future?",
		"PD.REQUEST [id]",
		"    What this connection writes from now on carries this id in the log; alone: none.",
		"PD.STATEHASH [[tenant/]actor]",
		"    A hash of the state, equal wherever the same log has been replayed; alone: of "
		"everything.",
		"PD.PROFILE TENANT level",
		"PD.PROFILE ACTOR name level",
		"    The durability level of writes that name none themselves; default: none set here.",
		"PD.ACTOR LIST [MATCH pattern] [CURSOR cursor] [COUNT count] [TENANT tenant]",
		"PD.ACTOR HOT [COUNT count]",
		"PD.ACTOR INFO|DROP [tenant/]actor",
		"    Which actors there are; what is known of one; drop one with everything that it has.",
		"PD.ACTOR HISTORY|REPLAY|BLAME|DIFF|GET [tenant/]actor ...",
		"    An actor's past: its transactions, all of them to do them again, who wrote a key, what "
		"changed, what a key was. See "
		"PD.ACTOR "
		"HELP.",
		"PD.ACTOR RELATE [tenant/]from [tenant/]to [KIND kind] [DATA text]",
		"PD.ACTOR UNRELATE [tenant/]from [tenant/]to [KIND kind]",
		"PD.ACTOR RELATIONS [tenant/]actor [OUT|IN|BOTH] [KIND kind] [CURSOR cursor] [COUNT n]",
		"    Relations between actors, which both know of.",
		"PD.ACTOR ACQUIRE [tenant/]actor owner milliseconds [EXCLUSIVE]",
		"PD.ACTOR RENEW [tenant/]actor owner epoch milliseconds",
		"PD.ACTOR RELEASE [tenant/]actor owner epoch",
		"PD.ACTOR OWNER [tenant/]actor",
		"    Owner leases: ACQUIRE gives an epoch, higher than all before it.",
		"PD.ACTOR PROFILE [tenant/]actor [DURABILITY level] [QUOTA-KEYS n] [QUOTA-BYTES n] "
		"[QUOTA-OPS n] [EXPIRE-AFTER seconds] [CLEAR]",
		"PD.TENANT PROFILE tenant [DURABILITY level] [QUOTA-KEYS n] [QUOTA-BYTES n] [QUOTA-OPS n] "
		"[CLEAR]",
		"    What holds for an actor, or for all of a tenant: quotas of keys, of bytes, and of "
		"operations a second; 0: none.",
		"PD.TENANT INFO [tenant]",
		"    What is known of a tenant.",
		"PD.EPOCH [tenant/]actor epoch",
		"    This connection's writes to the actor carry that epoch: they are refused when it is not "
		"the "
		"actor's any more. 0: none.",
		"PD.MEMORY",
		"    What takes how much memory: budget, used, resident, and the parts with their limits.",
		"PD.STORE CHECKPOINT|COMPACT|VERIFY",
		"PD.LOG COMPACT",
		"    Start work on what is stored, beside the serving; one at a time.",
		"PD.ARCHIVE STATUS",
		"    How far the log has been followed into the archive, and what fails.",
		"PD.STORE STATUS|STATS",
		"    How far that work is, or how the last ended; figures of what is stored.",
		"PD.HELP",
		"    Print this help.",
	};

	pd_resp_write_array(call->reply, sizeof lines / sizeof *lines);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		pd_resp_write_status(call->reply, lines[i]);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI)
#define ROW(name, arity, flags, summary, answer, settles_first)                                     \
	{                                                                                           \
		{ name, arity, flags, 0, 0, 0, "perdure", "0.1.0", summary, "O(1)", NULL }, answer, \
			settles_first                                                               \
	}

static const struct pd_resp_command commands[] = {
	ROW("pd.bookmark", -1, FLAGS, "Names this moment, or tells what became of another.", answer_bookmark,
	    false),
	ROW("pd.durability", -1, FLAGS, "Sets or shows when this connection's writes are acknowledged.",
	    answer_durability, false),
	ROW("pd.help", 1, PD_COMMAND_CONNECTION | PD_COMMAND_LOADING,
	    "Explains the commands of Perdure's own.", answer_help, false),
	ROW("pd.idempotency", 2, FLAGS, "Gives the next write or transaction an idempotency key.",
	    answer_idempotency, false),
	ROW("pd.profile", -3, FLAGS | PD_COMMAND_WRITE | PD_COMMAND_ADMIN,
	    "Sets the durability level of an actor or of the tenant.", answer_profile, false),
	ROW("pd.readlevel", 2, FLAGS, "Sets what this connection's reads wait for.", answer_readlevel, false),
	ROW("pd.receipt", 1, FLAGS, "Gives the receipt of this connection's last write.", answer_receipt,
	    true),
	ROW("pd.request", -1, FLAGS, "Gives what this connection writes an id in the log.", answer_request,
	    false),
	{ { "pd.statehash", -1, FLAGS, 0, 0, 0, "perdure", "0.1.0", "Gives a hash of the state.",
	    "O(N), N the size of the state; beside the serving.", NULL },
	  answer_statehash,
	  true },
	ROW("pd.use", -1, FLAGS, "Makes an actor the current one.", answer_use, false),
};

const struct pd_resp_commands pd_resp_commands_perdure = { commands, sizeof commands / sizeof *commands };
