/* PD.ACTOR FORK, RESTORE, REVERT, SNAPSHOT, UNDROP, VERIFY: what is made of an actor's past, beside the serving. */
#include "front/resp/front_private.h"
#include "os/os.h"
#include "restore/job.h"

#define TURN_NS 5000000u /* the same while it waits for others: who looks together is woken before */

static void work_later(struct pd_resp_call *call)
{
	const struct pd_restore_job *job = call->client->restore_job;
	bool waits = job != NULL && pd_restore_job_waits(job);
	uint64_t wait_ns = job != NULL && !waits ? PD_RESP_RESTORE_LOOK_NS : TURN_NS;

	call->client->order_waits = waits;
	call->client->brake_until_ns = pd_os_monotonic_ns(call->client->front->os) + wait_ns;
	pd_resp_front_stall(call->client, PD_RESP_STALL_BRAKE);
	call->later = true;
}

static int work(struct pd_resp_call *call, struct pd_session *session, struct pd_slice *ret_reply,
		const struct pd_receipt **ret_receipt, struct pd_error *err)
{
	struct pd_resp_client *client = call->client;
	struct pd_resp_front *front = client->front;
	int result = 0;

	if (front->restore_jobs == NULL)
		front->restore_jobs = pd_restore_jobs_new(front->engine);
	if (front->restore_jobs == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for an order");
	if (client->restore_job == NULL)
		result = pd_restore_job_start(front->restore_jobs, session, call->words + 1, call->count - 1,
					      client->protocol, &client->restore_job, err);
	return result == 0 ? pd_restore_job_work(client->restore_job, ret_reply, ret_receipt, err) : result;
}

static void answer(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	const struct pd_receipt *receipt;
	struct pd_error err = { 0 };
	struct pd_slice reply;
	int result;

	if (session == NULL)
		return;
	call->client->order_waits = false;
	result = work(call, session, &reply, &receipt, &err);
	/* Without a job it could not be begun yet; of one, the same code is an answer: that moment is still to come. */
	if (result > 0 || (result == PD_AGAIN && call->client->restore_job == NULL)) {
		work_later(call);
		return;
	}
	if (result == 0) {
		if (receipt->lsn != 0)
			call->client->last_write = *receipt;
		pd_resp_write_raw(call->reply, reply);
	} else {
		pd_resp_write_engine_error(call->reply, result, &err);
	}
	if (result != PD_FENCED) /* then nothing was done, and there is nothing to wait for */
		pd_resp_wait_for_now(call);
	pd_restore_job_free(call->client->restore_job);
	call->client->restore_job = NULL;
}

/* ---- how far that is ---- */

static void write_number(struct pd_resp_writer *reply, const char *name, uint64_t number)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_integer(reply, (int64_t)number);
}

static void write_progress(struct pd_resp_writer *reply, const struct pd_restore_progress *progress)
{
	pd_resp_write_map(reply, 7);
	pd_resp_write_bulk_string(reply, "order");
	pd_resp_write_bulk_string(reply, progress->order);
	pd_resp_write_bulk_string(reply, "actor");
	pd_resp_write_bulk(reply, progress->actor);
	pd_resp_write_bulk_string(reply, "stage");
	pd_resp_write_bulk_string(reply, progress->stage);
	write_number(reply, "keys", progress->keys);
	write_number(reply, "keys_total", progress->keys_total);
	write_number(reply, "bytes", progress->bytes);
	write_number(reply, "elapsed_ms", progress->elapsed_us / 1000);
}

static void answer_jobs(struct pd_resp_call *call)
{
	struct pd_session *session = pd_resp_need_session(call);
	const struct pd_restore_jobs *jobs = call->client->front->restore_jobs;
	struct pd_restore_progress progress;
	size_t count = 0;

	if (session == NULL)
		return;
	while (jobs != NULL && pd_restore_jobs_progress(jobs, session, count, &progress))
		count++;
	pd_resp_write_array(call->reply, count);
	for (size_t i = 0; i < count && pd_restore_jobs_progress(jobs, session, i, &progress); i++)
		write_progress(call->reply, &progress);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI | PD_COMMAND_WRITE)
#define COMPLEXITY                                                                                           \
	"O(N), N what the actor had then and did since the checkpoint before; beside the serving, piece by " \
	"piece."
#define ROW(name, arity, summary)                                                                            \
	{                                                                                                    \
		{ name, arity, FLAGS, 0, 0, 0, "perdure", "0.1.0", summary, COMPLEXITY, NULL }, answer, true \
	}

static const struct pd_resp_command commands[] = {
	ROW("pd.actor|fork", -4, "Makes an actor of what another had at a moment."),
	{ { "pd.actor|jobs", 2, PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI, 0, 0, 0, "perdure", "0.1.0",
	    "Tells how far exports, forks, imports, restores, reverts, snapshots and undrops are.", "O(1)",
	    NULL },
	  answer_jobs,
	  false },
	ROW("pd.actor|restore", -5, "Makes an actor again what it was at a moment."),
	ROW("pd.actor|revert", -4, "Undoes what one transaction did to an actor."),
	ROW("pd.actor|snapshot", -3, "Keeps a moment of an actor under a name, however much comes after it."),
	ROW("pd.actor|undrop", 3, "Brings an actor back that was dropped."),
	{ { "pd.actor|verify", 4, PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI, 0, 0, 0, "perdure", "0.1.0",
	    "Reads a snapshot, and compares its hash with what it was when it was made.",
	    "O(N), N what it has; beside the serving.", NULL },
	  answer,
	  true },
};

const struct pd_resp_commands pd_resp_commands_restore = { commands, sizeof commands / sizeof *commands };
