/* PD.ARCHIVE: how far the log has been followed into the archive. */
#include "archive/archive.h"
#include "front/resp/front_private.h"

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

static void answer_status(struct pd_resp_call *call)
{
	const struct pd_archive *archive = call->client->front->archive;
	struct pd_resp_writer *reply = call->reply;
	struct pd_archive_status status;

	if (archive == NULL) {
		pd_resp_write_map(reply, 1);
		write_text(reply, "state", "off");
		return;
	}
	pd_archive_status(archive, &status);
	pd_resp_write_map(reply, 20);
	write_text(reply, "state", pd_archive_state_name(status.state));
	write_text(reply, "address", status.address);
	write_number(reply, "base_lsn", status.base_lsn);
	write_number(reply, "archived_lsn", status.archived_lsn);
	write_number(reply, "archived_us", status.archived_us);
	write_number(reply, "durable_lsn", status.durable_lsn);
	write_number(reply, "lag_us", status.lag_us);
	write_number(reply, "lag_bytes", status.lag_bytes);
	write_number(reply, "waiting_bytes", status.waiting_bytes);
	write_number(reply, "disk_limit_bytes", status.disk_limit);
	write_number(reply, "let_go", status.let_go);
	write_number(reply, "objects", status.objects);
	write_number(reply, "bytes", status.bytes);
	write_number(reply, "expired", status.expired);
	write_text(reply, "hold", status.hold);
	write_number(reply, "failures", status.failures);
	write_text(reply, "failure", status.failure);
	write_number(reply, "retry_us", status.retry_us);
	write_number(reply, "gaps", status.gaps);
	write_text(reply, "gap", status.gap);
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"STATUS",
		"    Return how far the log has been followed into the archive, and what fails.",
	};

	pd_resp_write_help(call->reply, "PD.ARCHIVE", lines, sizeof lines / sizeof *lines);
}

#define ROW(name, arity, flags, summary, answer)                                                          \
	{                                                                                                 \
		{ name, arity, flags, 0, 0, 0, "perdure", "0.1.0", summary, "O(1)", NULL }, answer, false \
	}

static const struct pd_resp_command commands[] = {
	ROW("pd.archive|help", 2, PD_COMMAND_CONNECTION | PD_COMMAND_LOADING,
	    "Returns helpful text about the different subcommands.", answer_help),
	ROW("pd.archive|status", 2, PD_COMMAND_CONNECTION | PD_COMMAND_ADMIN | PD_COMMAND_LOADING,
	    "Tells how far the log has been followed into the archive.", answer_status),
};

const struct pd_resp_commands pd_resp_commands_archive = { commands, sizeof commands / sizeof *commands };
