/* PD.STORE, PD.LOG, PD.MEMORY: long work on what is stored, and what takes memory. */
#include "engine/upkeep.h"
#include "front/resp/front_private.h"

#define DAMAGE_LINES_MAX 1000 /* of one reply */

static const char *const kind_names[] = {
	[PD_UPKEEP_NONE] = "none",
	[PD_UPKEEP_CHECKPOINT] = "checkpoint",
	[PD_UPKEEP_COMPACT_STORE] = "compact-store",
	[PD_UPKEEP_COMPACT_LOG] = "compact-log",
	[PD_UPKEEP_VERIFY_STORE] = "verify-store",
};

static const char *state_name(const struct pd_upkeep_status *status)
{
	if (status->kind == PD_UPKEEP_NONE)
		return "none";
	if (status->running)
		return "running";
	return status->result == 0 ? "done" : "failed";
}

static void write_number(struct pd_resp_writer *reply, const char *name, uint64_t number)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_integer(reply, (int64_t)number);
}

static void write_text(struct pd_resp_writer *reply, const char *name, const char *text)
{
	pd_resp_write_bulk_string(reply, name);
	pd_resp_write_bulk_string(reply, text);
}

static void write_damage(struct pd_resp_writer *reply, const struct pd_engine *engine)
{
	size_t count = 0;

	while (count < DAMAGE_LINES_MAX && pd_engine_upkeep_damage(engine, count) != NULL)
		count++;
	pd_resp_write_bulk_string(reply, "damage");
	pd_resp_write_array(reply, count);
	for (size_t i = 0; i < count; i++)
		pd_resp_write_bulk_string(reply, pd_engine_upkeep_damage(engine, i));
}

/* The state of the job that runs, or of the last one. */
static void answer_status(struct pd_resp_call *call)
{
	const struct pd_engine *engine = call->client->front->engine;
	struct pd_resp_writer *reply = call->reply;
	struct pd_upkeep_status status;

	pd_engine_upkeep_status(engine, &status);
	pd_resp_write_map(reply, 10);
	write_text(reply, "job", kind_names[status.kind]);
	write_text(reply, "state", state_name(&status));
	write_number(reply, "done_bytes", status.done);
	write_number(reply, "total_bytes", status.total);
	write_number(reply, "started_us", status.started_us);
	write_number(reply, "ended_us", status.ended_us);
	write_text(reply, "result", status.result == 0 ? "OK" : pd_code_resp_prefix(status.result));
	write_text(reply, "text", status.text);
	write_number(reply, "damage_count", status.damage_count);
	write_damage(reply, engine);
}

static void start(struct pd_resp_call *call, enum pd_upkeep_kind kind)
{
	struct pd_engine *engine = call->client->front->engine;
	struct pd_error err = { 0 };
	int result = pd_engine_upkeep_start(engine, kind, &err);

	if (result == 0)
		answer_status(call);
	else
		pd_resp_write_engine_error(call->reply, result, &err);
}

static void answer_checkpoint(struct pd_resp_call *call)
{
	start(call, PD_UPKEEP_CHECKPOINT);
}

static void answer_compact_store(struct pd_resp_call *call)
{
	start(call, PD_UPKEEP_COMPACT_STORE);
}

static void answer_compact_log(struct pd_resp_call *call)
{
	start(call, PD_UPKEEP_COMPACT_LOG);
}

static void answer_verify(struct pd_resp_call *call)
{
	start(call, PD_UPKEEP_VERIFY_STORE);
}

static void answer_stats(struct pd_resp_call *call)
{
	struct pd_store_figure figures[PD_STORE_FIGURES_MAX];
	size_t count = pd_engine_store_figures(call->client->front->engine, figures);

	pd_resp_write_map(call->reply, count);
	for (size_t i = 0; i < count; i++)
		write_number(call->reply, figures[i].name, figures[i].value);
}

void pd_resp_read_memory(const struct pd_resp_front *front, struct pd_memory_report *ret_report)
{
	/* The engine knows these only as they were told to it last. */
	pd_engine_note_memory(front->engine, "connections", front->memory.used);
	pd_engine_memory(front->engine, ret_report);
}

static void answer_memory(struct pd_resp_call *call)
{
	struct pd_memory_report report;

	pd_resp_read_memory(call->client->front, &report);
	pd_resp_write_map(call->reply, 4);
	write_number(call->reply, "budget", report.budget);
	write_number(call->reply, "used", report.used);
	write_number(call->reply, "resident", report.resident);
	pd_resp_write_bulk_string(call->reply, "parts");
	pd_resp_write_map(call->reply, report.count);
	for (size_t i = 0; i < report.count; i++) {
		pd_resp_write_bulk_string(call->reply, report.parts[i].name);
		pd_resp_write_map(call->reply, 2);
		write_number(call->reply, "bytes", report.parts[i].bytes);
		write_number(call->reply, "limit", report.parts[i].limit);
	}
}

/* ---- HELP ---- */

static void answer_store_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"CHECKPOINT",
		"    Start putting a copy of the state at this moment beside it.",
		"COMPACT",
		"    Start rewriting what is stored, so that the room of what is dead is given back.",
		"STATS",
		"    Return figures of what is stored.",
		"STATUS",
		"    Return the state of the job that runs, or of the last one.",
		"VERIFY",
		"    Start reading everything that is stored and checking every checksum.",
	};

	pd_resp_write_help(call->reply, "PD.STORE", lines, sizeof lines / sizeof *lines);
}

static void answer_log_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"COMPACT",
		"    Start dropping the part of the log that retention does not ask for. PD.STORE STATUS "
		"tells "
		"how far it is.",
	};

	pd_resp_write_help(call->reply, "PD.LOG", lines, sizeof lines / sizeof *lines);
}

/* What runs beside the serving needs a state, so none of it begins during recovery. */
#define START (PD_COMMAND_CONNECTION | PD_COMMAND_ADMIN | PD_COMMAND_NO_MULTI)
#define LOOK  (PD_COMMAND_CONNECTION | PD_COMMAND_ADMIN)
#define ROW(name, arity, flags, summary, complexity, answer)                                            \
	{                                                                                               \
		{ name, arity, flags, 0, 0, 0, "perdure", "0.1.0", summary, complexity, NULL }, answer, \
			false                                                                           \
	}

static const struct pd_resp_command commands[] = {
	ROW("pd.log|compact", 2, START, "Starts dropping what of the log need not be kept.",
	    "O(1); the work goes on beside the serving.", answer_compact_log),
	ROW("pd.log|help", 2, PD_COMMAND_CONNECTION | PD_COMMAND_LOADING,
	    "Returns helpful text about the different subcommands.", "O(1)", answer_log_help),
	ROW("pd.memory", 1, LOOK | PD_COMMAND_LOADING,
	    "Tells what takes how much memory, and what it may take.", "O(1)", answer_memory),
	ROW("pd.store|checkpoint", 2, START, "Starts a checkpoint of the state.",
	    "O(1); the work goes on beside the serving.", answer_checkpoint),
	ROW("pd.store|compact", 2, START, "Starts rewriting what is stored, without what is dead.",
	    "O(1); the work goes on beside the serving.", answer_compact_store),
	ROW("pd.store|help", 2, PD_COMMAND_CONNECTION | PD_COMMAND_LOADING,
	    "Returns helpful text about the different subcommands.", "O(1)", answer_store_help),
	ROW("pd.store|stats", 2, LOOK, "Gives figures of what is stored.", "O(1)", answer_stats),
	ROW("pd.store|status", 2, LOOK | PD_COMMAND_LOADING,
	    "Tells what runs beside the serving, how far it is, and how the last job ended.",
	    "O(N), N the number of damaged places found.", answer_status),
	ROW("pd.store|verify", 2, START, "Starts checking everything that is stored.",
	    "O(1); the work goes on beside the serving.", answer_verify),
};

const struct pd_resp_commands pd_resp_commands_upkeep = { commands, sizeof commands / sizeof *commands };
