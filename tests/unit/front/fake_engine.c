#include "fake_engine.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "engine/state_hash.h"
#include "model/kv/kv.h"
#include "model/relation/relation.h"

struct pd_session {
	struct pd_engine *engine;
	enum pd_level level;
	char tenant[32]; /* "": default */
};

void fake_engine_init(struct pd_engine *engine)
{
	*engine = (struct pd_engine){ .settled_lsn = UINT64_MAX };
	pd_buffer_init(&engine->journal, 64 << 20);
}

void fake_engine_done(struct pd_engine *engine)
{
	pd_buffer_done(&engine->journal);
}

const char *fake_engine_journal(struct pd_engine *engine)
{
	PD_ASSERT(pd_buffer_append(&engine->journal, "", 1) == 0);
	engine->journal.size = 0;
	return (const char *)engine->journal.data;
}

/* ---- commands ---- */

static int evaluate_set(struct pd_call *call)
{
	pd_resp_write_status(call->reply, "OK");
	return 0;
}

static int evaluate_get(struct pd_call *call)
{
	pd_resp_write_bulk(call->reply, call->words[1]);
	return 0;
}

static int evaluate_big(struct pd_call *call)
{
	int64_t size = 0;
	char *bytes;

	PD_ASSERT(pd_slice_to_int64(call->words[1], &size));
	bytes = pd_malloc((size_t)size);
	PD_ASSERT(bytes != NULL);
	memset(bytes, 'x', (size_t)size);
	pd_resp_write_bulk(call->reply, pd_slice(bytes, (size_t)size));
	pd_free(bytes);
	return 0;
}

struct pd_blob_reader {
	struct pd_engine *engine;
	size_t left;
};

/* Commands know no engine. */
static struct pd_engine *evaluating;

static int evaluate_large(struct pd_call *call)
{
	struct pd_blob_reader *reader = pd_calloc(1, sizeof *reader);
	int64_t size = 0;

	PD_ASSERT(reader != NULL && pd_slice_to_int64(call->words[1], &size));
	*reader = (struct pd_blob_reader){ .engine = evaluating, .left = (size_t)size };
	reader->engine->readers++;
	PD_ASSERT(call->reply->hole_count < call->reply->hole_max);
	pd_resp_write_bulk_hole(call->reply, (uint64_t)size, reader);
	return 0;
}

const struct pd_command pd_kv_commands[] = {
	{ "large", 2, PD_COMMAND_READONLY, 0, 0, 0, "string", "1", "s", "c", evaluate_large },
	{ "set", 3, PD_COMMAND_WRITE | PD_COMMAND_LARGE, 1, 1, 1, "string", "1", "s", "c", evaluate_set },
	{ "get", 2, PD_COMMAND_READONLY, 1, 1, 1, "string", "1", "s", "c", evaluate_get },
	{ "big", 2, PD_COMMAND_READONLY, 0, 0, 0, "string", "1", "s", "c", evaluate_big },
};
const size_t pd_kv_command_count = sizeof pd_kv_commands / sizeof *pd_kv_commands;
const struct pd_command pd_relation_commands[] = {
	{ "pd.actor|relations", -3, PD_COMMAND_READONLY, 0, 0, 0, "perdure", "1", "s", "c", evaluate_get },
};
const size_t pd_relation_command_count = sizeof pd_relation_commands / sizeof *pd_relation_commands;

/* ---- requests ---- */

static bool is_write(const struct pd_request *request)
{
	for (size_t i = 0; i < request->count; i++)
		if ((request->commands[i].command->flags & PD_COMMAND_WRITE) != 0)
			return true;
	return request->idempotency_key.size > 0;
}

/* Large words by their size. */
static void note(struct pd_engine *engine, const struct pd_request_command *command)
{
	for (size_t i = 0; i < command->count; i++) {
		const struct pd_slice *word = command->words + i;
		int result = word->size > 32 ? pd_buffer_printf(&engine->journal, "%s[%zu]", i > 0 ? " " : "",
								word->size)
					     : pd_buffer_printf(&engine->journal, "%s%.*s", i > 0 ? " " : "",
								(int)word->size, (const char *)word->data);

		PD_ASSERT(result == 0);
	}
	PD_ASSERT(pd_buffer_append(&engine->journal, ";", 1) == 0);
}

static int evaluate_all(struct pd_engine *engine, const struct pd_request *request,
			struct pd_resp_writer *reply, struct pd_error *err)
{
	if (request->as_array)
		pd_resp_write_array(reply, request->count);
	for (size_t i = 0; i < request->count; i++) {
		const struct pd_request_command *command = request->commands + i;
		struct pd_call call = { .command = command->command,
					.words = command->words,
					.count = command->count,
					.reply = reply };

		PD_ASSERT(command->command->evaluate(&call) == 0);
	}
	if (reply->failed != 0) {
		reply->failed = 0;
		return pd_error_set(err, PD_TOO_LARGE, "the reply is larger than this server may hold");
	}
	for (size_t i = 0; i < request->count; i++)
		note(engine, request->commands + i);
	return 0;
}

int pd_engine_execute(struct pd_engine *engine, const struct pd_request *request,
		      struct pd_resp_writer *reply, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	size_t start = reply->buffer->size;
	int result;

	*ret_receipt = (struct pd_receipt){ 0 };
	engine->asked++;
	engine->preconditions = request->precondition_count;
	(void)snprintf(engine->key, sizeof engine->key, "%.*s", (int)request->idempotency_key.size,
		       (const char *)request->idempotency_key.data);
	if (is_write(request) && engine->brakes > 0) {
		engine->brakes--;
		ret_receipt->retry_us = engine->retry_us;
		return pd_error_set(err, PD_AGAIN, "the store must catch up");
	}
	evaluating = engine;
	if (request->stage != NULL)
		PD_ASSERT(pd_buffer_append(&engine->journal, "staged ", 7) == 0);
	result = evaluate_all(engine, request, reply, err);
	if (result != 0) {
		reply->buffer->size = start;
		return result;
	}
	if (is_write(request))
		ret_receipt->lsn = ++engine->lsn;
	ret_receipt->wait.durable_lsn = engine->lsn;
	return 0;
}

int pd_engine_set_profile(struct pd_engine *engine, struct pd_session *session, struct pd_slice actor,
			  enum pd_level level, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	(void)session;
	(void)actor;
	(void)level;
	*ret_receipt = (struct pd_receipt){ 0 };
	if (engine->brakes > 0) {
		engine->brakes--;
		ret_receipt->retry_us = engine->retry_us;
		return pd_error_set(err, PD_AGAIN, "the store must catch up");
	}
	PD_ASSERT(pd_buffer_append(&engine->journal, "profile;", 8) == 0);
	return 0;
}

int pd_engine_settled(const struct pd_engine *engine, const struct pd_wait *wait)
{
	return wait->durable_lsn <= engine->settled_lsn;
}

struct pd_wait pd_engine_wait_now(const struct pd_engine *engine)
{
	return (struct pd_wait){ .durable_lsn = engine->lsn };
}

struct pd_wait pd_session_wait_now(struct pd_session *session)
{
	return pd_engine_wait_now(session->engine);
}

struct pd_wait pd_engine_sync_up_to(struct pd_engine *engine, uint64_t lsn)
{
	(void)engine;
	return (struct pd_wait){ .durable_lsn = lsn };
}

int pd_engine_version(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
		      struct pd_version *ret_version, struct pd_slice *ret_actor, struct pd_slice *ret_key,
		      struct pd_error *err)
{
	(void)session;
	(void)err;
	*ret_version = (struct pd_version){ .lsn = engine->lsn };
	*ret_actor = pd_slice_string("main");
	*ret_key = name;
	return 0;
}

/* ---- large values ---- */

struct pd_stage {
	struct pd_engine *engine;
};

uint64_t pd_stage_least(const struct pd_engine *engine)
{
	return engine->large_min > 0 ? engine->large_min : UINT64_MAX;
}

uint64_t pd_stage_piece(const struct pd_engine *engine)
{
	(void)engine;
	return 65536;
}

struct pd_stage *pd_stage_new(struct pd_engine *engine, struct pd_session *session)
{
	struct pd_stage *stage = pd_calloc(1, sizeof *stage);

	PD_ASSERT(stage != NULL && session != NULL);
	stage->engine = engine;
	engine->stages++;
	return stage;
}

int pd_stage_add(struct pd_stage *stage, struct pd_slice key, struct pd_slice bytes,
		 struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_engine *engine = stage->engine;

	PD_ASSERT(bytes.size > 0 && bytes.size % 65536 == 0);
	if (engine->brakes > 0) {
		engine->brakes--;
		ret_receipt->retry_us = engine->retry_us;
		return pd_error_set(err, PD_AGAIN, "the store must catch up");
	}
	if (engine->stage_result != 0)
		return pd_error_set(err, engine->stage_result, "no");
	for (size_t i = 0; i < bytes.size; i++)
		PD_ASSERT(bytes.data[i] == 'x');
	return pd_buffer_printf(&engine->journal, "%.*s+%zu;", (int)key.size, (const char *)key.data,
				bytes.size / 65536);
}

void pd_stage_free(struct pd_stage *stage)
{
	if (stage != NULL)
		stage->engine->stages--;
	pd_free(stage);
}

int pd_blob_read(struct pd_blob_reader *reader, size_t most, struct pd_buffer *into, struct pd_error *err)
{
	size_t size = reader->left < most ? reader->left : most;

	if (reader->engine->read_result != 0)
		return pd_error_set(err, reader->engine->read_result, "damaged");
	PD_ASSERT(pd_buffer_reserve(into, size) == 0);
	memset(into->data + into->size, 'y', size);
	into->size += size;
	reader->left -= size;
	return reader->left > 0;
}

void pd_blob_reader_free(struct pd_blob_reader *reader)
{
	if (reader != NULL)
		reader->engine->readers--;
	pd_free(reader);
}

/* ---- sessions ---- */

struct pd_session *pd_session_new(struct pd_engine *engine, uint64_t client, const char *principal,
				  const char *client_text)
{
	struct pd_session *session = pd_calloc(1, sizeof *session);

	(void)client;
	(void)principal;
	(void)client_text;
	if (session != NULL)
		session->engine = engine;
	return session;
}

void pd_session_free(struct pd_session *session)
{
	pd_free(session);
}

int pd_session_set_client_text(struct pd_session *session, const char *client_text)
{
	(void)session;
	(void)client_text;
	return 0;
}

int pd_session_use(struct pd_session *session, struct pd_slice name, struct pd_error *err)
{
	const uint8_t *end = name.size > 0 ? memchr(name.data, '/', name.size) : NULL;

	(void)err;
	(void)snprintf(session->tenant, sizeof session->tenant, "%.*s",
		       end != NULL ? (int)(end - name.data) : 0, (const char *)name.data);
	return 0;
}

struct pd_slice pd_session_tenant(const struct pd_session *session)
{
	return pd_slice_string(session->tenant[0] != '\0' ? session->tenant : "default");
}

int pd_session_set_level(struct pd_session *session, enum pd_level level, struct pd_error *err)
{
	(void)err;
	session->level = level;
	return 0;
}

enum pd_level pd_session_level(const struct pd_session *session)
{
	return session->level;
}

bool pd_session_is_special(const struct pd_session *session)
{
	return session->level != PD_LEVEL_UNSET;
}

void pd_session_set_read_strict(struct pd_session *session, bool strict)
{
	(void)session;
	(void)strict;
}

/* ---- upkeep and memory ---- */

int pd_engine_upkeep_start(struct pd_engine *engine, enum pd_upkeep_kind kind, struct pd_error *err)
{
	if (engine->upkeep_result != 0)
		return pd_error_set(err, engine->upkeep_result, "another runs");
	engine->started = kind;
	engine->upkeep = (struct pd_upkeep_status){ .kind = kind, .running = true, .total = 100 };
	return 0;
}

void pd_engine_upkeep_status(const struct pd_engine *engine, struct pd_upkeep_status *ret_status)
{
	*ret_status = engine->upkeep;
}

const char *pd_engine_upkeep_damage(const struct pd_engine *engine, size_t n)
{
	return n < sizeof engine->damage / sizeof *engine->damage ? engine->damage[n] : NULL;
}

size_t pd_engine_store_figures(const struct pd_engine *engine,
			       struct pd_store_figure figures[PD_STORE_FIGURES_MAX])
{
	figures[0] = (struct pd_store_figure){ "keys", engine->lsn };
	return 1;
}

void pd_engine_memory(const struct pd_engine *engine, struct pd_memory_report *ret_report)
{
	*ret_report = engine->memory;
}

void pd_engine_note_memory(struct pd_engine *engine, const char *part, uint64_t bytes)
{
	PD_ASSERT(strcmp(part, "connections") == 0);
	engine->noted = bytes;
}

/* ---- events ---- */

void pd_engine_listen(struct pd_engine *engine, unsigned classes)
{
	engine->listening = classes;
}

bool pd_engine_next_event(const struct pd_engine *engine, size_t *at, struct pd_event *ret_event)
{
	if (*at >= engine->event_count)
		return false;
	*ret_event = engine->events[(*at)++];
	return true;
}

bool pd_engine_clear_events(struct pd_engine *engine)
{
	bool lost = engine->events_lost;

	engine->event_count = 0;
	engine->events_lost = false;
	return lost;
}

/* ---- what these tests do not look at ---- */

const char *pd_engine_fence_text(const struct pd_engine *engine)
{
	(void)engine;
	return "";
}

bool pd_engine_disk_full(const struct pd_engine *engine)
{
	(void)engine;
	return false;
}

bool pd_engine_durable(const struct pd_engine *engine, uint64_t lsn)
{
	return lsn <= engine->settled_lsn;
}

void pd_engine_stats(const struct pd_engine *engine, struct pd_engine_stats *ret_stats)
{
	*ret_stats = engine->stats;
	ret_stats->log_way = "";
}

const char *pd_engine_state_failure(const struct pd_engine_stats *stats)
{
	return stats->state_failure[PD_STATE_FLUSH];
}

void pd_engine_now(const struct pd_engine *engine, uint64_t *ret_epoch, uint64_t *ret_lsn)
{
	*ret_epoch = 1;
	*ret_lsn = engine->lsn;
}

int pd_engine_check_bookmark(const struct pd_engine *engine, uint64_t epoch, uint64_t lsn)
{
	(void)engine;
	(void)epoch;
	(void)lsn;
	return 0;
}

int pd_engine_state_hash(struct pd_engine *engine, struct pd_session *session, struct pd_slice actor,
			 struct pd_hash128 *ret_hash, struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)actor;
	(void)err;
	*ret_hash = (struct pd_hash128){ 0 };
	return 0;
}

int pd_state_hash_start(struct pd_engine *engine, struct pd_session *session, struct pd_slice actor,
			struct pd_state_hash **ret_hash, struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)actor;
	(void)ret_hash;
	return pd_error_set(err, PD_NOT_SUPPORTED, "there are no views here");
}

int pd_state_hash_result(struct pd_state_hash *hash, struct pd_hash128 *ret_hash, struct pd_wait *ret_wait,
			 struct pd_error *err)
{
	(void)hash;
	(void)ret_hash;
	(void)ret_wait;
	return pd_error_set(err, PD_INVALID, "none was begun");
}

void pd_state_hash_free(struct pd_state_hash *hash)
{
	(void)hash;
}

void pd_bookmark_format(uint32_t shard, uint64_t epoch, uint64_t lsn, char text[PD_BOOKMARK_SIZE])
{
	(void)snprintf(text, PD_BOOKMARK_SIZE, "%u-%llu-%llu", shard, (unsigned long long)epoch,
		       (unsigned long long)lsn);
}

int pd_bookmark_parse(struct pd_slice text, uint32_t *ret_shard, uint64_t *ret_epoch, uint64_t *ret_lsn)
{
	(void)text;
	(void)ret_shard;
	(void)ret_epoch;
	(void)ret_lsn;
	return PD_INVALID;
}

/* ---- users: nobody has to log in ---- */

int pd_session_set_home(struct pd_session *session, struct pd_slice tenant, bool confined,
			struct pd_error *err)
{
	(void)session;
	(void)tenant;
	(void)confined;
	(void)err;
	return 0;
}

int pd_engine_put_user(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
		       struct pd_slice record, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	(void)engine;
	(void)session;
	(void)name;
	(void)record;
	(void)ret_receipt;
	return pd_error_set(err, PD_NOT_SUPPORTED, "this engine has no users");
}

int pd_engine_delete_user(struct pd_engine *engine, struct pd_session *session, struct pd_slice name,
			  struct pd_receipt *ret_receipt, struct pd_error *err)
{
	return pd_engine_put_user(engine, session, name, pd_slice(NULL, 0), ret_receipt, err);
}

int pd_engine_walk_users(struct pd_engine *engine,
			 int (*visit)(void *context, struct pd_slice name, struct pd_slice record,
				      struct pd_error *err),
			 void *context, struct pd_error *err)
{
	(void)engine;
	(void)visit;
	(void)context;
	(void)err;
	return 0;
}
