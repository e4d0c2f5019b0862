#include "restore/transfer.h"

#include "engine/engine.h"

#define WORDS_MAX 6u

struct command {
	struct pd_transfer *transfer;
	const struct pd_slice *words;
	size_t count;
	bool export, begins;
};

void pd_transfer_done(struct pd_transfer *transfer)
{
	pd_restore_job_free(transfer->job);
	*transfer = (struct pd_transfer){ 0 };
}

void pd_transfer_rest(struct pd_transfer *transfer)
{
	if (transfer->over)
		pd_transfer_done(transfer);
}

/* ---- may it be said now? ---- */

static bool says(const struct command *command, const char *step)
{
	return pd_slice_equal_nocase(command->words[1], step);
}

static bool is_step(const struct command *command)
{
	if (command->begins)
		return command->count <= WORDS_MAX;
	if (command->count == 2)
		return says(command, "end") || says(command, command->export ? "next" : "abort");
	return command->count == 3 && !command->export && says(command, "put");
}

static int check(struct command *command, struct pd_error *err)
{
	const struct pd_transfer *transfer = command->transfer;
	const char *order;

	command->export = pd_slice_equal_nocase(command->words[0], "export");
	command->begins = command->count > 1 && says(command, "begin");
	order = command->export ? "export" : "import";
	if (command->count < 2 || !is_step(command))
		return pd_error_set(err, PD_INVALID, "syntax error: PD.ACTOR %s",
				    command->export
					    ? "EXPORT BEGIN name [AT moment] [NORELATIONS] | NEXT | END"
					    : "IMPORT BEGIN [AS name] [REPLACE] [NORELATIONS] | PUT piece | "
					      "END | ABORT");
	if (command->begins && transfer->job != NULL && !transfer->waits)
		return pd_error_set(
			err, PD_INVALID,
			"there is an export or an import at work here already: END it first, or ABORT it");
	if (!command->begins && (transfer->job == NULL || !pd_restore_job_is(transfer->job, order)))
		return pd_error_set(err, PD_INVALID,
				    "no %s is at work here: BEGIN comes first, and an error ends it", order);
	return 0;
}

/* ---- steps ---- */

/* The order is the words without BEGIN. */
static int begin(const struct command *command, struct pd_restore_jobs *jobs, struct pd_session *session,
		 int protocol, struct pd_error *err)
{
	struct pd_slice order[WORDS_MAX] = { command->words[0] };

	for (size_t i = 2; i < command->count; i++)
		order[i - 1] = command->words[i];
	return pd_restore_job_start(jobs, session, order, command->count - 1, protocol,
				    &command->transfer->job, err);
}

static int say_ok(struct pd_slice *ret_reply)
{
	*ret_reply = pd_slice_string("+OK\r\n");
	return 0;
}

static int do_export(const struct command *command, struct pd_slice *ret_reply,
		     const struct pd_receipt **ret_receipt, struct pd_error *err)
{
	struct pd_transfer *transfer = command->transfer;
	int result;

	transfer->over = says(command, "end");
	if (transfer->over)
		return say_ok(ret_reply);
	if (says(command, "next"))
		pd_restore_job_next(transfer->job);
	result = pd_restore_job_work(transfer->job, ret_reply, ret_receipt, err);
	transfer->waits = result > 0;
	return result;
}

static int do_import(const struct command *command, struct pd_slice *ret_reply,
		     const struct pd_receipt **ret_receipt, struct pd_error *err)
{
	struct pd_transfer *transfer = command->transfer;
	int result = 0;

	if (says(command, "put"))
		result = pd_restore_job_put(transfer->job, command->words[2], ret_receipt, err);
	transfer->over = says(command, "abort");
	if (!says(command, "end"))
		return result == 0 ? say_ok(ret_reply) : result;
	result = pd_restore_job_end(transfer->job, err);
	if (result == 0)
		result = pd_restore_job_work(transfer->job, ret_reply, ret_receipt, err);
	transfer->waits = result > 0;
	transfer->over = result == 0;
	return result;
}

int pd_transfer_run(struct pd_transfer *transfer, struct pd_restore_jobs *jobs, struct pd_session *session,
		    const struct pd_slice *words, size_t count, int protocol, struct pd_slice *ret_reply,
		    const struct pd_receipt **ret_receipt, struct pd_error *err)
{
	static const struct pd_receipt none;
	struct command command = { .transfer = transfer, .words = words, .count = count };
	int result = check(&command, err);

	*ret_receipt = &none;
	if (result == 0 && transfer->job == NULL)
		result = begin(&command, jobs, session, protocol, err);
	if (result != 0)
		return result;
	result = command.export ? do_export(&command, ret_reply, ret_receipt, err)
				: do_import(&command, ret_reply, ret_receipt, err);
	if (result < 0 && !(result == PD_AGAIN && (*ret_receipt)->retry_us > 0))
		transfer->over = true;
	return result;
}
