/* PD.ACTOR HISTORY, REPLAY, BLAME, DIFF, GET, MOMENT: an actor's past, looked at beside the serving. */
#include "front/resp/front_private.h"
#include "history/job.h"
#include "os/os.h"

#define LOOK_NS 2000000u /* between two looks whether an answer is there */

static void ask_later(struct pd_resp_call *call)
{
	call->client->brake_until_ns = pd_os_monotonic_ns(call->client->front->os) + LOOK_NS;
	pd_resp_front_stall(call->client, PD_RESP_STALL_BRAKE);
	call->later = true;
}

static int find_answer(struct pd_resp_call *call, struct pd_session *session, struct pd_slice *ret_reply,
		       struct pd_error *err)
{
	struct pd_resp_client *client = call->client;
	struct pd_resp_front *front = client->front;
	int result = 0;

	if (front->history_jobs == NULL)
		front->history_jobs = pd_history_jobs_new(front->engine);
	if (front->history_jobs == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a question");
	if (client->history_job == NULL)
		result = pd_history_job_start(front->history_jobs, session, call->words + 1, call->count - 1,
					      client->protocol, &client->history_job, err);
	return result == 0 ? pd_history_job_result(client->history_job, ret_reply, err) : result;
}

static void answer(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	struct pd_error err = { 0 };
	struct pd_slice reply;
	int result;

	if (session == NULL)
		return;
	result = find_answer(call, session, &reply, &err);
	/* Without a job it could not be begun yet; of one, the same code is an answer: that moment is still to come. */
	if (result > 0 || (result == PD_AGAIN && call->client->history_job == NULL)) {
		ask_later(call);
		return;
	}
	if (result == 0)
		pd_resp_write_raw(call->reply, reply);
	else
		pd_resp_write_engine_error(call->reply, result, &err);
	pd_resp_wait_for_now(call);
	pd_history_job_free(call->client->history_job);
	call->client->history_job = NULL;
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI)
#define COMPLEXITY \
	"O(N), N what the log has of the actor in between, and one footer a segment; beside the serving."
#define ROW(name, arity, summary)                                                                            \
	{                                                                                                    \
		{ name, arity, FLAGS, 0, 0, 0, "perdure", "0.1.0", summary, COMPLEXITY, NULL }, answer, true \
	}

static const struct pd_resp_command commands[] = {
	ROW("pd.actor|blame", -4, "Tells which transactions wrote a key of an actor."),
	ROW("pd.actor|diff", -5, "Tells what changed of an actor between two moments."),
	ROW("pd.actor|get", -4, "Gives a key of an actor as it was at a moment."),
	ROW("pd.actor|history", -3, "Tells the transactions of an actor."),
	ROW("pd.actor|replay", -3,
	    "Tells the transactions of an actor from its beginning on, with all that they wrote."),
	{ { "pd.actor|moment", 3, FLAGS, 0, 0, 0, "perdure", "0.1.0", "Tells which bookmark a moment is.",
	    "O(1), a segment or two of the log; beside the serving.", NULL },
	  answer,
	  true },
};

const struct pd_resp_commands pd_resp_commands_history = { commands, sizeof commands / sizeof *commands };
