/* The past of actors: questions and orders, carried out beside whatever else is done. A job of the driver's comes again until the work, which
 * has tasks of its own, is over. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "embed/embed_private.h"
#include "engine/snapshot.h"
#include "history/job.h"
#include "restore/job.h"
#include "restore/snapshots.h"

#define LOOK_US     500u  /* between two looks whether it is over */
#define TURN_US     5000u /* the same while others are at work, and this one cannot begin */
#define WORDS_MAX   16u
#define REPLY_MAX   ((size_t)256 * 1024 * 1024)
#define MOMENT_SIZE 128u

enum kind {
	QUESTION, /* history/job.h */
	ORDER,    /* restore/job.h */
	LIST,     /* of snapshots */
	REMOVAL,  /* of one */
	TRANSFER, /* restore/transfer.h */
};

static const struct {
	const char *name;
	enum kind kind;
	bool writes;
} verbs[] = {
	{ "history", QUESTION, false }, { "replay", QUESTION, false }, { "blame", QUESTION, false },
	{ "diff", QUESTION, false },    { "get", QUESTION, false },    { "fork", ORDER, true },
	{ "undrop", ORDER, true },      { "restore", ORDER, true },    { "revert", ORDER, true },
	{ "snapshot", ORDER, true },    { "verify", ORDER, false },    { "unsnapshot", REMOVAL, true },
	{ "snapshots", LIST, false },   { "export", TRANSFER, false }, { "import", TRANSFER, true },
};

struct work {
	struct perdure_session *session;
	enum kind kind;
	const struct pd_slice *words;
	size_t count;
	struct pd_history_job *question;
	struct pd_restore_job *order;
	struct pd_buffer reply;
	struct pd_receipt receipt; /* of an order */
};

/* ---- in the engine ---- */

static int again(struct pd_job *job, uint64_t us)
{
	job->wrote = true; /* it goes on with steps */
	job->retry_us = us;
	return PD_AGAIN;
}

/* Of a question or an order that has ended. */
static int end(struct pd_job *job, int result, struct pd_slice reply)
{
	struct work *work = job->argument;

	job->wrote = true;
	job->retry_us = 0;
	if (result == 0 && pd_buffer_append_slice(&work->reply, reply) != 0)
		result = pd_error_set(&job->err, PD_NO_MEMORY, "done, but there was no memory for the reply");
	pd_history_job_free(work->question);
	pd_restore_job_free(work->order);
	work->question = NULL;
	work->order = NULL;
	return result;
}

static int ask(struct pd_job *job)
{
	struct work *work = job->argument;
	struct perdure *db = work->session->db;
	struct pd_slice reply = { 0 };
	int result = 0;

	if (db->history_jobs == NULL)
		db->history_jobs = pd_history_jobs_new(job->engine);
	if (db->history_jobs == NULL)
		return pd_error_set(&job->err, PD_NO_MEMORY, "out of memory for a question");
	if (work->question == NULL) {
		result = pd_history_job_start(db->history_jobs, work->session->session, work->words,
					      work->count, 3, &work->question, &job->err);
		if (result == PD_AGAIN)
			return again(job, TURN_US);
	}
	if (result == 0)
		result = pd_history_job_result(work->question, &reply, &job->err);
	if (result > 0)
		return again(job, LOOK_US);
	job->wait = pd_engine_wait_now(job->engine);
	return end(job, result, reply);
}

static int order(struct pd_job *job)
{
	struct work *work = job->argument;
	struct perdure *db = work->session->db;
	const struct pd_receipt *receipt = NULL;
	struct pd_slice reply = { 0 };
	int result = 0;

	if (db->restore_jobs == NULL)
		db->restore_jobs = pd_restore_jobs_new(job->engine);
	if (db->restore_jobs == NULL)
		return pd_error_set(&job->err, PD_NO_MEMORY, "out of memory for an order");
	if (work->order == NULL) {
		result = pd_restore_job_start(db->restore_jobs, work->session->session, work->words,
					      work->count, 3, &work->order, &job->err);
		if (result == PD_AGAIN)
			return again(job, TURN_US);
	}
	if (result == 0)
		result = pd_restore_job_work(work->order, &reply, &receipt, &job->err);
	if (result > 0)
		return again(job, LOOK_US);
	job->wait = result == PD_FENCED ? (struct pd_wait){ 0 } : pd_engine_wait_now(job->engine);
	if (result == 0) {
		work->receipt = *receipt;
		if (receipt->lsn != 0)
			work->session->receipt = *receipt;
	}
	return end(job, result, reply);
}

/* A step of an export or an import, which goes on with the session's next. */
static int transfer(struct pd_job *job)
{
	static const struct pd_receipt none;
	struct work *work = job->argument;
	struct perdure *db = work->session->db;
	struct pd_transfer *transfer = &work->session->transfer;
	const struct pd_receipt *receipt = &none;
	struct pd_slice reply = { 0 };
	int result;

	if (db->restore_jobs == NULL)
		db->restore_jobs = pd_restore_jobs_new(job->engine);
	if (db->restore_jobs == NULL)
		return pd_error_set(&job->err, PD_NO_MEMORY, "out of memory for an order");
	result = pd_transfer_run(transfer, db->restore_jobs, work->session->session, work->words, work->count,
				 3, &reply, &receipt, &job->err);
	if (result > 0)
		return again(job, LOOK_US);
	if (result == PD_AGAIN && receipt->retry_us > 0)
		return again(job, receipt->retry_us);
	/* A piece that was taken promises nothing yet. */
	if (result != PD_FENCED && transfer->over)
		job->wait = pd_engine_wait_now(job->engine);
	if (result == 0 && receipt->lsn != 0)
		work->session->receipt = *receipt;
	result = end(job, result, reply);
	pd_transfer_rest(transfer);
	return result;
}

static int list(struct pd_job *job)
{
	struct work *work = job->argument;
	struct pd_resp_writer writer = { .buffer = &work->reply, .protocol = 3 };

	job->wait = pd_engine_wait_now(job->engine);
	pd_snapshots_list(job->engine, work->session->session,
			  work->count > 1 ? work->words[1] : pd_slice(NULL, 0), &writer);
	return writer.failed == 0 ? 0 : pd_error_set(&job->err, PD_NO_MEMORY, "out of memory for the reply");
}

static int remove_one(struct pd_job *job)
{
	struct work *work = job->argument;
	struct pd_resp_writer writer = { .buffer = &work->reply, .protocol = 3 };
	int result = pd_engine_remove_snapshot(job->engine, work->session->session, work->words[1],
					       work->words[2], &work->receipt, &job->err);

	job->wait = result == PD_FENCED ? (struct pd_wait){ 0 } : work->receipt.wait;
	job->retry_us = work->receipt.retry_us;
	job->wrote = true;
	if (result == 0 && work->receipt.lsn != 0)
		work->session->receipt = work->receipt;
	if (result == 0)
		pd_resp_write_integer(&writer, 1);
	return result;
}

/* ---- around it ---- */

/* Which word is an actor's name: EXPORT BEGIN name, IMPORT BEGIN AS name. 0: none. */
static size_t named_by_transfer(const struct pd_slice *words, size_t count)
{
	if (count < 3 || !pd_slice_equal_nocase(words[1], "begin"))
		return 0;
	return pd_slice_equal_nocase(words[0], "export") ? 2 : 3;
}

static int check_words(const struct pd_slice *words, size_t count, size_t *ret_verb,
		       struct perdure_error *err)
{
	size_t named;

	if (count == 0 || words == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID, "it has at least one word, such as HISTORY");
	if (count > WORDS_MAX)
		return pd_embed_errorf(err, PERDURE_INVALID, "it has %u words at most, not %zu", WORDS_MAX,
				       count);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (!pd_slice_equal_nocase(words[0], verbs[i].name))
			continue;
		if (verbs[i].kind == LIST ? count > 2 : verbs[i].kind == REMOVAL && count != 3)
			return pd_embed_errorf(err, PERDURE_INVALID, "wrong number of words for '%s'",
					       verbs[i].name);
		named = verbs[i].kind == TRANSFER ? named_by_transfer(words, count) : 1;
		/* A session is a tenant's. */
		if (named > 0 && count > named && !pd_actor_name_is_good(words[named]))
			return pd_embed_errorf(
				err, PERDURE_INVALID,
				"'%.*s' is no actor's name: it has 1 to %u bytes, none of them {, "
				"} or /",
				words[named].size < 64 ? (int)words[named].size : 64,
				(const char *)words[named].data, PERDURE_NAME_SIZE_MAX);
		*ret_verb = i;
		return 0;
	}
	return pd_embed_errorf(err, PERDURE_INVALID,
			       "'%.*s' is nothing that is asked of the past: docs/history.md has what is",
			       words[0].size < 64 ? (int)words[0].size : 64, (const char *)words[0].data);
}

static int run(struct work *work, struct perdure_error *err)
{
	static int (*const runs[])(struct pd_job * job) = {
		[QUESTION] = ask,       [ORDER] = order,       [LIST] = list,
		[REMOVAL] = remove_one, [TRANSFER] = transfer,
	};
	struct pd_job job = { .run = runs[work->kind], .argument = work };

	return pd_embed_run(work->session->db, &job, err);
}

/* The reply is in work->reply, which is to be given back, after an error, too. */
static int do_words(struct perdure_session *session, const struct pd_slice *words, size_t count,
		    struct work *work, struct perdure_error *err)
{
	size_t verb = 0;
	int result;

	*work = (struct work){ .session = session, .words = words, .count = count };
	pd_buffer_init(&work->reply, REPLY_MAX);
	result = pd_embed_enter(session, err);
	if (result != 0)
		return result;
	result = check_words(words, count, &verb, err);
	if (result == 0)
		result = pd_embed_check_outside(session, err);
	if (result == 0 && verbs[verb].writes)
		result = pd_embed_check_write(session, err);
	if (result == 0) {
		work->kind = verbs[verb].kind;
		result = run(work, err);
	}
	pd_embed_leave(session);
	return result;
}

int perdure_past(struct perdure_session *session, size_t count, const struct perdure_bytes *words,
		 struct perdure_reply **ret_reply, struct perdure_error *err)
{
	struct pd_slice slices[WORDS_MAX];
	struct work work;
	int result;

	for (size_t i = 0; i < count && i < WORDS_MAX && words != NULL; i++) {
		if (words[i].data == NULL && words[i].size > 0)
			return pd_embed_errorf(err, PERDURE_INVALID, "word %zu is at NULL and has a size", i);
		slices[i] = pd_embed_slice(words[i]);
	}
	result = do_words(session, words != NULL ? slices : NULL, count, &work, err);
	if (result == 0 && ret_reply != NULL)
		result = pd_embed_tree(pd_buffer_slice(&work.reply), ret_reply, err);
	pd_buffer_done(&work.reply);
	return result;
}

/* ---- orders, one by one ---- */

static void copy_text(struct pd_slice map, const char *name, char *to, size_t size)
{
	struct pd_slice value;
	struct pd_reply reply;

	to[0] = '\0';
	if (!pd_reply_field(map, name, &value))
		return;
	reply = pd_reply_read(&value);
	(void)snprintf(to, size, "%.*s", (int)(reply.text.size < size ? reply.text.size : size - 1),
		       (const char *)reply.text.data);
}

static uint64_t number_of(struct pd_slice map, const char *name)
{
	struct pd_slice value;

	return pd_reply_field(map, name, &value) ? (uint64_t)pd_reply_read(&value).integer : 0;
}

static int way_of(struct pd_slice map)
{
	char text[16];

	copy_text(map, "way", text, sizeof text);
	if (strcmp(text, "nothing") == 0)
		return PERDURE_REMADE_NOTHING;
	return strcmp(text, "changes") == 0 ? PERDURE_REMADE_CHANGES : PERDURE_REMADE_WHOLE;
}

static void fill(const struct work *work, struct perdure_remade *ret_remade)
{
	struct pd_slice map = pd_buffer_slice(&work->reply);
	struct perdure_remade remade = PERDURE_REMADE_INIT;

	remade.size = ret_remade->size;
	remade.way = way_of(map);
	remade.keys = number_of(map, "keys");
	remade.put = number_of(map, "put");
	remade.deleted = number_of(map, "deleted");
	remade.bytes = number_of(map, "bytes");
	copy_text(map, "at", remade.at, sizeof remade.at);
	copy_text(map, "undo", remade.undo, sizeof remade.undo);
	copy_text(map, "hash", remade.hash, sizeof remade.hash);
	copy_text(map, "snapshot", remade.snapshot, sizeof remade.snapshot);
	pd_embed_fill_receipt(&work->receipt, &remade.receipt);
	memcpy(ret_remade, &remade, remade.size < sizeof remade ? remade.size : sizeof remade);
}

static int carry_out(struct perdure_session *session, const struct pd_slice *words, size_t count,
		     struct perdure_remade *ret_remade, struct perdure_error *err)
{
	struct work work;
	int result;

	if (ret_remade != NULL && (ret_remade->size < sizeof ret_remade->size || ret_remade->size > 4096))
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "the size is wrong: begin with struct perdure_remade remade = "
				       "PERDURE_REMADE_INIT");
	result = do_words(session, words, count, &work, err);
	if (result == 0 && ret_remade != NULL)
		fill(&work, ret_remade);
	pd_buffer_done(&work.reply);
	return result;
}

int perdure_actor_fork(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes name,
		       const char *moment, struct perdure_remade *ret_remade, struct perdure_error *err)
{
	struct pd_slice words[] = { pd_slice_string("FORK"), pd_embed_slice(actor), pd_embed_slice(name),
				    pd_slice_string("AT"), pd_slice_string(moment != NULL ? moment : "now") };

	return carry_out(session, words, 5, ret_remade, err);
}

int perdure_actor_undrop(struct perdure_session *session, struct perdure_bytes actor,
			 struct perdure_remade *ret_remade, struct perdure_error *err)
{
	struct pd_slice words[] = { pd_slice_string("UNDROP"), pd_embed_slice(actor) };

	return carry_out(session, words, 2, ret_remade, err);
}

int perdure_actor_restore(struct perdure_session *session, struct perdure_bytes actor, const char *moment,
			  int dry_run, struct perdure_remade *ret_remade, struct perdure_error *err)
{
	struct pd_slice words[] = { pd_slice_string("RESTORE"), pd_embed_slice(actor), pd_slice_string("AT"),
				    pd_slice_string(moment != NULL ? moment : ""),
				    pd_slice_string("DRYRUN") };

	return carry_out(session, words, dry_run ? 5 : 4, ret_remade, err);
}

int perdure_actor_revert(struct perdure_session *session, struct perdure_bytes actor, const char *transaction,
			 int dry_run, struct perdure_remade *ret_remade, struct perdure_error *err)
{
	struct pd_slice words[] = { pd_slice_string("REVERT"), pd_embed_slice(actor),
				    pd_slice_string(transaction != NULL ? transaction : ""),
				    pd_slice_string("DRYRUN") };

	return carry_out(session, words, dry_run ? 4 : 3, ret_remade, err);
}

int perdure_actor_snapshot(struct perdure_session *session, struct perdure_bytes actor, const char *name,
			   const char *moment, uint64_t keep_s, struct perdure_remade *ret_remade,
			   struct perdure_error *err)
{
	struct pd_slice words[7] = { pd_slice_string("SNAPSHOT"), pd_embed_slice(actor) };
	size_t count = 2;
	char text[24];

	if (name != NULL)
		words[count++] = pd_slice_string(name);
	words[count++] = pd_slice_string("AT");
	words[count++] = pd_slice_string(moment != NULL ? moment : "now");
	if (keep_s != 0) {
		(void)snprintf(text, sizeof text, "%llu", (unsigned long long)keep_s);
		words[count++] = pd_slice_string("KEEP");
		words[count++] = pd_slice_string(text);
	}
	return carry_out(session, words, count, ret_remade, err);
}

int perdure_actor_unsnapshot(struct perdure_session *session, struct perdure_bytes actor, const char *name,
			     struct perdure_error *err)
{
	struct pd_slice words[] = { pd_slice_string("UNSNAPSHOT"), pd_embed_slice(actor),
				    pd_slice_string(name != NULL ? name : "") };

	return carry_out(session, words, 3, NULL, err);
}
