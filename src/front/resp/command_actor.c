/* PD.ACTOR: which actors there are, what is known of each, dropping one. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/actor.h"
#include "front/resp/actor_info.h"
#include "front/resp/front_private.h"
#include "model/kv/glob.h"

#define COUNT_DEFAULT 100
#define COUNT_MAX     10000 /* the loop is held up for no more than so many */
#define LIST_SYNTAX \
	"ERR syntax error: PD.ACTOR LIST [MATCH pattern] [CURSOR cursor] [COUNT count] [TENANT tenant]"

struct pd_session *pd_resp_need_session(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_client_session(call->client);

	if (session == NULL)
		pd_resp_write_error(call->reply, "OOM out of memory for a session");
	return session;
}

void pd_resp_wait_for_now(struct pd_resp_call *call)
{
	struct pd_session *session = call->client->session;

	call->wait_storage = session != NULL ? pd_session_wait_now(session)
					     : pd_engine_wait_now(call->client->front->engine);
	call->wait = &call->wait_storage;
}

/* ---- LIST ---- */

struct list {
	struct pd_slice pattern, tenant;
	uint64_t after, count;
	bool has_pattern;
};

bool pd_resp_parse_number(struct pd_resp_call *call, const char *what, struct pd_slice word, int64_t least,
			  int64_t most, uint64_t *ret_number)
{
	int64_t number;

	if (pd_slice_to_int64(word, &number) && number >= least && number <= most) {
		*ret_number = (uint64_t)number;
		return true;
	}
	pd_resp_write_errorf(call->reply, "ERR %s is a number from %" PRId64 " to %" PRId64, what, least,
			     most);
	return false;
}

/* One option with its value; false: the error is written. */
static bool parse_option(struct pd_resp_call *call, struct pd_slice word, struct pd_slice value,
			 struct list *list)
{
	if (pd_slice_equal_nocase(word, "cursor"))
		return pd_resp_parse_number(call, "a cursor (0 to begin, else what the last reply said)",
					    value, 0, INT64_MAX, &list->after);
	if (pd_slice_equal_nocase(word, "count"))
		return pd_resp_parse_number(call, "COUNT", value, 1, COUNT_MAX, &list->count);
	if (pd_slice_equal_nocase(word, "tenant")) {
		list->tenant = value;
		return true;
	}
	if (pd_slice_equal_nocase(word, "match")) {
		list->pattern = value;
		list->has_pattern = true;
		return true;
	}
	pd_resp_write_error(call->reply, LIST_SYNTAX);
	return false;
}

/* false: the error is written. */
static bool parse_list(struct pd_resp_call *call, struct list *list)
{
	if (call->count % 2 != 0) {
		pd_resp_write_error(call->reply, LIST_SYNTAX);
		return false;
	}
	for (size_t i = 2; i < call->count; i += 2)
		if (!parse_option(call, call->words[i], call->words[i + 1], list))
			return false;
	return true;
}

/* Go over as many as were asked for, once to count and once to write. *ret_next: where to go on; 0: nothing is left. */
static int walk(struct pd_resp_call *call, const struct list *list, bool write, size_t *ret_matches,
		uint64_t *ret_next, struct pd_error *err)
{
	struct pd_engine *engine = call->client->front->engine;
	uint64_t after = list->after, looks = list->count;
	struct pd_actor_place place;
	int result;

	*ret_matches = 0;
	while ((result = pd_engine_next_actor(engine, call->client->session, list->tenant, after, &looks,
					      &place, err)) == 1) {
		after = place.id;
		if (list->has_pattern && !pd_glob_match(list->pattern, place.name))
			continue;
		++*ret_matches;
		if (write)
			pd_resp_write_bulk(call->reply, place.name);
	}
	*ret_next = result == PD_AGAIN ? place.id : 0;
	return result == PD_AGAIN ? 0 : result;
}

static void answer_list(struct pd_resp_call *call)
{
	struct list list = { .count = COUNT_DEFAULT };
	struct pd_error err = { 0 };
	uint64_t next = 0;
	size_t matches = 0;
	char text[24];
	int result;

	if (pd_resp_need_session(call) == NULL || !parse_list(call, &list))
		return;
	result = walk(call, &list, false, &matches, &next, &err);
	if (result != 0) {
		pd_resp_write_engine_error(call->reply, result, &err);
		return;
	}
	(void)snprintf(text, sizeof text, "%" PRIu64, next);
	pd_resp_write_array(call->reply, 2);
	pd_resp_write_bulk_string(call->reply, text);
	pd_resp_write_array(call->reply, matches);
	(void)!walk(call, &list, true, &matches, &next, &err);
	pd_resp_wait_for_now(call);
}

/* ---- HOT ---- */

#define HOT_DEFAULT 10 /* actors */

static void write_number(struct pd_resp_writer *reply, const char *name, uint64_t number)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_integer(reply, (int64_t)number);
}

static void answer_hot(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_actor_heat actors[PD_HOT_MAX];
	uint64_t most = HOT_DEFAULT;
	size_t count;

	if (session == NULL)
		return;
	if (call->count != 2 && !(call->count == 4 && pd_slice_equal_nocase(call->words[2], "count"))) {
		pd_resp_write_error(call->reply, "ERR syntax error: PD.ACTOR HOT [COUNT count]");
		return;
	}
	if (call->count == 4 && !pd_resp_parse_number(call, "COUNT", call->words[3], 1, PD_HOT_MAX, &most))
		return;
	count = pd_engine_hot_actors(call->client->front->engine, session, (size_t)most, actors);
	pd_resp_write_array(call->reply, count);
	for (size_t i = 0; i < count; i++) {
		pd_resp_write_map(call->reply, 3);
		pd_resp_write_bulk_string(call->reply, "tenant");
		pd_resp_write_bulk(call->reply, actors[i].tenant);
		pd_resp_write_bulk_string(call->reply, "name");
		pd_resp_write_bulk(call->reply, actors[i].name);
		write_number(call->reply, "operations_per_s", actors[i].operations_per_s);
	}
	pd_resp_wait_for_now(call);
}

/* ---- INFO ---- */

static void write_bookmark(struct pd_resp_writer *reply, const char *name, uint64_t epoch, uint64_t lsn)
{
	char text[PD_BOOKMARK_SIZE];

	pd_bookmark_format(0, epoch, lsn, text);
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_bulk_string(reply, text);
}

void pd_resp_write_actor_info(struct pd_resp_writer *reply, const struct pd_actor_info *info)
{
	pd_resp_write_map(reply, 22);
	pd_resp_write_bulk_string(reply, "tenant");
	pd_resp_write_bulk(reply, info->tenant);
	pd_resp_write_bulk_string(reply, "name");
	pd_resp_write_bulk(reply, info->name);
	write_number(reply, "id", info->id);
	write_number(reply, "keys", info->keys);
	write_number(reply, "expiring_keys", info->expiring_keys);
	pd_resp_write_bytes(reply, info->bytes, info->bytes_known);
	write_bookmark(reply, "created", info->created_epoch, info->created_lsn);
	write_number(reply, "last_write_us", info->last_write_us);
	pd_resp_write_bulk_string(reply, "durability");
	pd_resp_write_bulk_string(reply, pd_level_name(info->level));
	pd_resp_write_bulk_string(reply, "durability_from");
	pd_resp_write_bulk_string(reply, pd_profile_scope_name(info->level_scope));
	pd_resp_write_quotas(reply, &info->quotas);
	write_number(reply, "expire_after_s", info->quotas.idle_s);
	pd_resp_write_lease(reply, &info->lease);
	pd_resp_write_bulk_string(reply, "quarantined");
	pd_resp_write_boolean(reply, info->quarantined);
	write_number(reply, "lost_first_lsn", info->lost_first_lsn);
	write_number(reply, "lost_last_lsn", info->lost_last_lsn);
}

static void answer_info(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_actor_info info;
	struct pd_error err = { 0 };
	int result;

	if (session == NULL)
		return;
	result = pd_engine_actor_info(call->client->front->engine, session, call->words[2], &info, &err);
	pd_resp_wait_for_now(call);
	if (result == 0)
		pd_resp_write_actor_info(call->reply, &info);
	else
		pd_resp_write_engine_error(call->reply, result, &err);
}

/* ---- DROP ---- */

/* As DEL answers: 1, or 0 where there is no such actor. */
static void answer_drop(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	int result;

	if (session == NULL)
		return;
	result = pd_engine_drop_actor(call->client->front->engine, session, call->words[2], &receipt, &err);
	if (pd_resp_must_wait(call->client, result, &receipt)) {
		call->later = true;
		return;
	}
	if (result == 0)
		call->client->last_write = receipt;
	if (result == 0 || result == PD_NOT_FOUND)
		pd_resp_write_integer(call->reply, result == 0);
	else
		pd_resp_write_engine_error(call->reply, result, &err);
	if (result != PD_FENCED) /* then nothing was done, and there is nothing to wait for */
		pd_resp_wait_for_now(call);
}

/* ---- HELP ---- */

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"BLAME name key [TO moment] [COUNT n] [CURSOR cursor]",
		"    Return the transactions that wrote a key, newest first.",
		"DIFF name FROM moment [TO moment] [COUNT n] [CURSOR cursor]",
		"    Return the keys that changed between two moments, with what they held before and after.",
		"DROP name",
		"    Drop an actor with everything that it has. Returns 1, or 0 where there is none of that "
		"name.",
		"EXPORT BEGIN name [AT moment] | NEXT | END",
		"    Return what an actor had as lines of JSON, piece by piece, until one is empty.",
		"FORK name new [AT moment]",
		"    Make an actor of what another had at a moment (default: has now). Returns what it has, "
		"and the "
		"bookmark of it.",
		"GET name key [AT moment]",
		"    Return a key as it was at a moment: now, a time, -10m, an LSN, a bookmark, "
		"snapshot:name.",
		"HISTORY name [FROM moment] [TO moment] [COUNT n] [CURSOR cursor]",
		"    Return the transactions that changed an actor, newest first.",
		"HOT [COUNT count]",
		"    Return the busiest actors, and how many operations a second each had in the last "
		"seconds.",
		"IMPORT BEGIN [AS name] [REPLACE] | PUT piece | END | ABORT",
		"    Make an actor of such lines. Nothing is there before END has compared all of it. "
		"REPLACE: in the place of the one of that name.",
		"INFO name",
		"    Return what is known of an actor.",
		"ACQUIRE name owner milliseconds [EXCLUSIVE]",
		"    Own an actor for a time. Returns its new epoch. EXCLUSIVE: writes that carry no epoch "
		"are refused.",
		"MOMENT moment",
		"    Return which bookmark a moment is, if the state of then can be made: -10m moves on, "
		"that stays.",
		"OWNER name",
		"    Return the epoch of an actor, and who owns it for how long.",
		"PROFILE name [DURABILITY level] [QUOTA-KEYS n] [QUOTA-BYTES n] [QUOTA-OPS n] "
		"[EXPIRE-AFTER seconds] [CLEAR]",
		"    What holds for it, whoever writes; 0 and default: nothing of its own.",
		"REPLAY name [FROM moment] [TO moment] [COUNT n] [CURSOR cursor]",
		"    Return the transactions that changed an actor, oldest first, with all that they wrote.",
		"RELATE from to [KIND kind] [DATA text]",
		"    Relate an actor to another. Returns 1, or 0 where it was so already; DATA is what the "
		"relation "
		"says from now on.",
		"RELATIONS name [OUT|IN|BOTH] [KIND kind] [CURSOR cursor] [COUNT n]",
		"    Return a cursor (0: nothing is left) and the relations of an actor, those that go to it "
		"first.",
		"RENEW name owner epoch milliseconds",
		"    Own it for that time from now on.",
		"RELEASE name owner epoch",
		"    Give it back.",
		"RESTORE name AT moment [RELATIONS] [DRYRUN]",
		"    Make it again what it was. Returns what was done, and the bookmark that undoes it. "
		"RELATIONS: only what it was related to. DRYRUN: only "
		"what would be done.",
		"REVERT name lsn|bookmark [DRYRUN]",
		"    Undo what one transaction did to it, unless later ones wrote the same keys again: the "
		"error "
		"names them.",
		"SNAPSHOT name [snapshot] [AT moment] [KEEP seconds]",
		"    Keep a moment of an actor under a name, as snapshot:name wherever a moment is said. "
		"KEEP: for "
		"so long.",
		"SNAPSHOTS [name]",
		"    Return the snapshots of an actor, or of the tenant, the oldest first.",
		"UNDROP name",
		"    Bring an actor back that was dropped, as it was.",
		"UNRELATE from to [KIND kind]",
		"    End a relation. Returns 1, or 0 where there was none.",
		"UNSNAPSHOT name snapshot",
		"    Remove a snapshot. Returns whether there was one.",
		"VERIFY name snapshot",
		"    Read a snapshot, and compare its hash with what it was when it was made.",
		"JOBS",
		"    Return how far EXPORT, FORK, IMPORT, RESTORE, REVERT, SNAPSHOT and UNDROP are that are "
		"at "
		"work.",
		"LIST [MATCH pattern] [CURSOR cursor] [COUNT count] [TENANT tenant]",
		"    Return a cursor (0: nothing is left) and the names of actors, oldest first.",
	};

	pd_resp_write_help(call->reply, "PD.ACTOR", lines, sizeof lines / sizeof *lines);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI)
#define ROW(name, arity, flags, summary, complexity, answer)                                            \
	{                                                                                               \
		{ name, arity, flags, 0, 0, 0, "perdure", "0.1.0", summary, complexity, NULL }, answer, \
			false                                                                           \
	}

static const struct pd_resp_command commands[] = {
	ROW("pd.actor|drop", 3, FLAGS | PD_COMMAND_WRITE | PD_COMMAND_ADMIN,
	    "Drops an actor with everything that it has.",
	    "O(N), N the number of its keys that are in memory only.", answer_drop),
	ROW("pd.actor|help", 2, PD_COMMAND_CONNECTION | PD_COMMAND_LOADING,
	    "Returns helpful text about the different subcommands.", "O(1)", answer_help),
	ROW("pd.actor|hot", -2, FLAGS, "Tells which actors are the busiest.", "O(1)", answer_hot),
	ROW("pd.actor|info", 3, FLAGS, "Tells what is known of an actor.", "O(1)", answer_info),
	ROW("pd.actor|list", -2, FLAGS, "Goes over the actors of a tenant.", "O(N), N the COUNT.",
	    answer_list),
};

const struct pd_resp_commands pd_resp_commands_actor = { commands, sizeof commands / sizeof *commands };
