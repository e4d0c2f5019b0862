/* PD.ACTOR EXPORT and IMPORT: an actor as lines of JSON (docs/format/export.md), which go or come piece by piece over one connection. */
#include "engine/engine.h"
#include "front/resp/front_private.h"
#include "os/os.h"

#define LOOK_NS 500000u /* between two looks what is to be done next */

static int run(struct pd_resp_call *call, struct pd_session *session, struct pd_slice *ret_reply,
	       const struct pd_receipt **ret_receipt, struct pd_error *err)
{
	struct pd_resp_client *client = call->client;
	struct pd_resp_front *front = client->front;

	if (front->restore_jobs == NULL)
		front->restore_jobs = pd_restore_jobs_new(front->engine);
	if (front->restore_jobs == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for an order");
	return pd_transfer_run(&client->transfer, front->restore_jobs, session, call->words + 1,
			       call->count - 1, client->protocol, ret_reply, ret_receipt, err);
}

static void answer(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_resp_client *client = call->client;
	static const struct pd_receipt none;
	const struct pd_receipt *receipt = &none;
	struct pd_error err = { 0 };
	struct pd_slice reply;
	int result;

	if (session == NULL)
		return;
	result = run(call, session, &reply, &receipt, &err);
	if (result > 0) {
		client->brake_until_ns = pd_os_monotonic_ns(client->front->os) + LOOK_NS;
		pd_resp_front_stall(client, PD_RESP_STALL_BRAKE);
	}
	call->later = result > 0 || pd_resp_must_wait(client, result, receipt);
	if (call->later)
		return;
	if (receipt->lsn != 0 && result == 0)
		client->last_write = *receipt;
	if (result == 0)
		pd_resp_write_raw(call->reply, reply);
	else
		pd_resp_write_engine_error(call->reply, result, &err);
	/* A piece that was taken promises nothing yet; and where it is fenced nothing was done that could be waited for. */
	if (result != PD_FENCED && client->transfer.over)
		pd_resp_wait_for_now(call);
	pd_transfer_rest(&client->transfer);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI)

static const struct pd_resp_command commands[] = {
	{ { "pd.actor|export", -3, FLAGS, 0, 0, 0, "perdure", "0.1.0",
	    "Gives what an actor had at a moment as lines of JSON, piece by piece.",
	    "O(N), N what the actor had then and did since the checkpoint before; beside the serving.",
	    NULL },
	  answer,
	  true },
	{ { "pd.actor|import", -3, FLAGS | PD_COMMAND_WRITE, 0, 0, 0, "perdure", "0.1.0",
	    "Makes an actor of lines that were exported, as a whole or not at all.",
	    "O(N), N what comes; piece by piece.", NULL },
	  answer,
	  true },
};

const struct pd_resp_commands pd_resp_commands_transfer = { commands, sizeof commands / sizeof *commands };
