/* PD.ACTOR SNAPSHOTS, UNSNAPSHOT: which moments are kept under a name, and letting one go. PD.ACTOR SNAPSHOT is an order: command_restore.c. */
#include "engine/snapshot.h"
#include "front/resp/front_private.h"
#include "restore/snapshots.h"

static void answer_snapshots(struct pd_resp_call *call)
{
	struct pd_slice actor = call->count == 3 ? call->words[2] : pd_slice(NULL, 0);
	struct pd_session *session = pd_resp_need_session(call);

	if (session == NULL)
		return;
	if (call->count > 3) {
		pd_resp_write_error(call->reply, "ERR syntax error: PD.ACTOR SNAPSHOTS [name]");
		return;
	}
	pd_snapshots_list(call->client->front->engine, session, actor, call->reply);
	pd_resp_wait_for_now(call);
}

/* As DEL answers: 1, or 0 where there is none. */
static void answer_unsnapshot(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_receipt receipt = { 0 };
	struct pd_error err = { 0 };
	int result;

	if (session == NULL)
		return;
	result = pd_engine_remove_snapshot(call->client->front->engine, session, call->words[2],
					   call->words[3], &receipt, &err);
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

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI)

static const struct pd_resp_command commands[] = {
	{ { "pd.actor|snapshots", -2, FLAGS, 0, 0, 0, "perdure", "0.1.0",
	    "Lists the snapshots of an actor, or of all of the tenant.", "O(N), N all snapshots.", NULL },
	  answer_snapshots,
	  false },
	{ { "pd.actor|unsnapshot", 4, FLAGS | PD_COMMAND_WRITE, 0, 0, 0, "perdure", "0.1.0",
	    "Removes a snapshot of an actor.", "O(N), N all snapshots; not what it has.", NULL },
	  answer_unsnapshot,
	  false },
};

const struct pd_resp_commands pd_resp_commands_snapshot = { commands, sizeof commands / sizeof *commands };
