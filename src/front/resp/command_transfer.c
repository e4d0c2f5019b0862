/* PD.ACTOR EXPORT and IMPORT: an actor as lines of JSON (docs/format/export.md), which go or come piece by piece over one connection.
 *
 *     EXPORT BEGIN name [AT moment]   the first piece
 *     EXPORT NEXT                     the next; empty: that was all
 *     EXPORT END                      that is enough
 *     IMPORT BEGIN [AS name]
 *     IMPORT PUT piece                cut anywhere
 *     IMPORT END                      that was all: it is compared, and gets its name
 *     IMPORT ABORT
 *
 * What goes wrong in between is the end of it. */
#include "engine/engine.h"
#include "front/resp/front_private.h"
#include "os/os.h"
#include "restore/job.h"

#define LOOK_NS       500000u /* between two looks what is to be done next */
#define EXPORT_SYNTAX "ERR syntax error: PD.ACTOR EXPORT BEGIN name [AT moment] | NEXT | END"
#define IMPORT_SYNTAX "ERR syntax error: PD.ACTOR IMPORT BEGIN [AS name] | PUT piece | END | ABORT"

static void drop(struct pd_resp_client *client)
{
	pd_restore_job_free(client->transfer);
	client->transfer = NULL;
	client->transfer_waits = false;
}

/* An error is the end of it. */
static void fail(struct pd_resp_call *call, int result, const struct pd_error *err)
{
	drop(call->client);
	pd_resp_write_engine_error(call->reply, result, err);
	if (result != PD_FENCED) /* then nothing was done, and there is nothing to wait for */
		pd_resp_wait_for_now(call);
}

static int start(struct pd_resp_call *call, struct pd_session *session, const char *verb,
		 struct pd_error *err)
{
	struct pd_resp_client *client = call->client;
	struct pd_resp_front *front = client->front;
	struct pd_slice words[8] = { pd_slice_string(verb) };
	size_t count = 1;

	if (front->restore_jobs == NULL)
		front->restore_jobs = pd_restore_jobs_new(front->engine);
	if (front->restore_jobs == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for an order");
	for (size_t i = 3; i < call->count && count < 8; i++)
		words[count++] = call->words[i];
	return pd_restore_job_start(front->restore_jobs, session, words, count, client->protocol,
				    &client->transfer, err);
}

/* Until there is a reply. */
static void work(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;
	const struct pd_receipt *receipt;
	struct pd_error err = { 0 };
	struct pd_slice reply;
	int result = pd_restore_job_work(client->transfer, &reply, &receipt, &err);

	client->transfer_waits = result > 0;
	if (result > 0) {
		client->brake_until_ns = pd_os_monotonic_ns(client->front->os) + LOOK_NS;
		pd_resp_front_stall(client, PD_RESP_STALL_BRAKE);
		call->later = true;
		return;
	}
	if (result != 0) {
		fail(call, result, &err);
		return;
	}
	if (receipt->lsn != 0)
		client->last_write = *receipt;
	pd_resp_write_raw(call->reply, reply);
	pd_resp_wait_for_now(call);
}

/* Is there one, of this kind? It begins with BEGIN. false: the reply is written. */
static bool need(struct pd_resp_call *call, const char *verb, size_t words, const char *syntax)
{
	struct pd_resp_client *client = call->client;

	if (call->count != words) {
		pd_resp_write_error(call->reply, syntax);
		return false;
	}
	if (client->transfer != NULL && pd_restore_job_is(client->transfer, verb))
		return true;
	pd_resp_write_errorf(call->reply,
			     "ERR there is no %s on this connection: BEGIN comes first, and an error ends it",
			     verb);
	return false;
}

/* false: the reply is written, or comes later. */
static bool begin(struct pd_resp_call *call, const char *verb)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_resp_client *client = call->client;
	struct pd_error err = { 0 };
	int result;

	if (session == NULL)
		return false;
	if (client->transfer_waits)
		return true;
	if (client->transfer != NULL) {
		pd_resp_write_error(call->reply, "ERR there is an export or an import on this connection "
						 "already: END it first, or ABORT it");
		return false;
	}
	result = start(call, session, verb, &err);
	if (result != 0)
		fail(call, result, &err);
	return result == 0;
}

/* ---- EXPORT ---- */

static void answer_export(struct pd_resp_call *call)
{
	struct pd_slice what = call->words[2];

	if (pd_slice_equal_nocase(what, "begin")) {
		if (begin(call, "export"))
			work(call);
	} else if (pd_slice_equal_nocase(what, "next")) {
		if (!need(call, "export", 3, EXPORT_SYNTAX))
			return;
		pd_restore_job_next(call->client->transfer);
		work(call);
	} else if (pd_slice_equal_nocase(what, "end")) {
		if (!need(call, "export", 3, EXPORT_SYNTAX))
			return;
		drop(call->client);
		pd_resp_write_status(call->reply, "OK");
	} else {
		pd_resp_write_error(call->reply, EXPORT_SYNTAX);
	}
}

/* ---- IMPORT ---- */

static void put(struct pd_resp_call *call)
{
	struct pd_receipt receipt;
	struct pd_error err = { 0 };
	int result = pd_restore_job_put(call->client->transfer, call->words[3], &receipt, &err);

	if (pd_resp_must_wait(call->client, result, &receipt))
		call->later = true;
	else if (result != 0)
		fail(call, result, &err);
	else
		pd_resp_write_status(call->reply, "OK");
}

static void end(struct pd_resp_call *call)
{
	struct pd_error err = { 0 };
	int result = pd_restore_job_end(call->client->transfer, &err);

	if (result != 0) {
		fail(call, result, &err);
		return;
	}
	work(call);
	if (!call->later)
		drop(call->client);
}

static void answer_import(struct pd_resp_call *call)
{
	struct pd_slice what = call->words[2];

	if (pd_slice_equal_nocase(what, "begin")) {
		if (begin(call, "import"))
			pd_resp_write_status(call->reply, "OK");
	} else if (pd_slice_equal_nocase(what, "put")) {
		if (need(call, "import", 4, IMPORT_SYNTAX))
			put(call);
	} else if (pd_slice_equal_nocase(what, "end")) {
		if (need(call, "import", 3, IMPORT_SYNTAX))
			end(call);
	} else if (pd_slice_equal_nocase(what, "abort")) {
		if (!need(call, "import", 3, IMPORT_SYNTAX))
			return;
		drop(call->client);
		pd_resp_write_status(call->reply, "OK");
	} else {
		pd_resp_write_error(call->reply, IMPORT_SYNTAX);
	}
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI)

static const struct pd_resp_command commands[] = {
	{ { "pd.actor|export", -3, FLAGS, 0, 0, 0, "perdure", "0.1.0",
	    "Gives what an actor had at a moment as lines of JSON, piece by piece.",
	    "O(N), N what the actor had then and did since the checkpoint before; beside the serving.",
	    NULL },
	  answer_export,
	  true },
	{ { "pd.actor|import", -3, FLAGS | PD_COMMAND_WRITE, 0, 0, 0, "perdure", "0.1.0",
	    "Makes an actor of lines that were exported, as a whole or not at all.",
	    "O(N), N what comes; piece by piece.", NULL },
	  answer_import,
	  true },
};

const struct pd_resp_commands pd_resp_commands_transfer = { commands, sizeof commands / sizeof *commands };
