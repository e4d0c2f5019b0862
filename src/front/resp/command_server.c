/* TIME, INFO, SHUTDOWN, SLOWLOG, MONITOR and the like. */
#include <stdio.h>

#include "front/resp/front_private.h"
#include "os/os.h"

static void answer_time(struct pd_resp_call *call)
{
	uint64_t now = pd_os_real_us(call->client->front->os);

	pd_resp_write_array(call->reply, 2);
	pd_resp_write_bulk_integer(call->reply, (int64_t)(now / 1000000));
	pd_resp_write_bulk_integer(call->reply, (int64_t)(now % 1000000));
}

static void answer_lolwut(struct pd_resp_call *call)
{
	static const char text[] = "Perdure ver. " PD_VERSION "\n";

	pd_resp_write_verbatim(call->reply, "txt", pd_slice_string(text));
}

static void answer_cluster(struct pd_resp_call *call)
{
	pd_resp_write_error(call->reply, "ERR This instance has cluster support disabled");
}

static void answer_empty_array(struct pd_resp_call *call)
{
	pd_resp_write_array(call->reply, 0);
}

static void answer_role(struct pd_resp_call *call)
{
	struct pd_engine_stats stats = { 0 };

	if (!call->client->front->loading)
		pd_engine_stats(call->client->front->engine, &stats);
	pd_resp_write_array(call->reply, 3);
	pd_resp_write_bulk_string(call->reply, "master");
	pd_resp_write_integer(call->reply, (int64_t)stats.marks.durable_lsn);
	pd_resp_write_array(call->reply, 0);
}

/* No replicas: whatever number was asked for, none will ever acknowledge, and waiting would not change it. */
static void answer_wait(struct pd_resp_call *call)
{
	int64_t replicas, timeout_ms;

	if (!pd_slice_to_int64(call->words[1], &replicas)) {
		pd_resp_write_error(call->reply, "ERR value is not an integer or out of range");
		return;
	}
	if (!pd_slice_to_int64(call->words[2], &timeout_ms)) {
		pd_resp_write_error(call->reply, "ERR timeout is not an integer or out of range");
		return;
	}
	if (timeout_ms < 0) {
		pd_resp_write_error(call->reply, "ERR timeout is negative");
		return;
	}
	pd_resp_write_integer(call->reply, 0);
}

static void answer_monitor(struct pd_resp_call *call)
{
	if (pd_resp_show_to(call->client) != 0)
		pd_resp_write_errorf(call->reply,
				     "ERR %d clients MONITOR already: that is the most there may be",
				     PD_RESP_MONITORS_MAX);
	else
		pd_resp_write_status(call->reply, "OK");
}

/* Everything that this connection has written is brought to stable storage now; there are no replicas to wait for. */
static void answer_waitaof(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;
	struct pd_resp_front *front = client->front;
	int64_t local, replicas, timeout_ms;

	if (!pd_slice_to_int64(call->words[1], &local) || local < 0 || local > 1) {
		pd_resp_write_error(call->reply, "ERR value is out of range, value must between 0 and 1");
		return;
	}
	if (!pd_slice_to_int64(call->words[2], &replicas) || replicas < 0) {
		pd_resp_write_error(call->reply, "ERR value is out of range, must be positive");
		return;
	}
	if (!pd_slice_to_int64(call->words[3], &timeout_ms) || timeout_ms < 0) {
		pd_resp_write_error(call->reply, timeout_ms < 0
							 ? "ERR timeout is negative"
							 : "ERR timeout is not an integer or out of range");
		return;
	}
	if (local > 0 && front->options.in_memory) {
		pd_resp_write_error(call->reply,
				    "ERR WAITAOF cannot be used when numlocal is set but there are no "
				    "files (--memory)");
		return;
	}
	pd_resp_write_array(call->reply, 2);
	pd_resp_write_integer(call->reply, front->options.in_memory ? 0 : 1);
	pd_resp_write_integer(call->reply, 0);
	if (!front->options.in_memory) {
		call->wait_storage = pd_engine_sync_up_to(front->engine, client->last_write.lsn);
		call->wait = &call->wait_storage;
	}
}

static void answer_shutdown(struct pd_resp_call *call)
{
	static const char *const options[] = { "nosave", "save", "now", "force" };
	bool known = true;

	for (size_t i = 1; i < call->count && known; i++) {
		known = false;
		for (size_t option = 0; option < sizeof options / sizeof *options; option++)
			known = known || pd_slice_equal_nocase(call->words[i], options[option]);
	}
	if (!known) {
		pd_resp_write_error(call->reply, "ERR syntax error");
		return;
	}
	/* Everything acknowledged is in the log whatever the option says. As in Redis, success has no reply: the
	 * connection ends. This one is written for the case that it does not. */
	call->client->front->shutdown = true;
	call->client->closing = true;
	call->client->reply_mode = PD_RESP_REPLY_OFF;
	pd_resp_write_status(call->reply, "OK");
}

/* ---- SLOWLOG ---- */

static void answer_slowlog_get(struct pd_resp_call *call)
{
	int64_t count = 10;

	if (call->count > 3) {
		pd_resp_write_error(call->reply, "ERR wrong number of arguments for 'slowlog|get' command");
		return;
	}
	if (call->count == 3 && (!pd_slice_to_int64(call->words[2], &count) || count < -1)) {
		pd_resp_write_error(call->reply, "ERR count should be greater than or equal to -1");
		return;
	}
	pd_resp_slowlog_write(&call->client->front->slowlog, count < 0 ? SIZE_MAX : (size_t)count,
			      call->reply);
}

static void answer_slowlog_len(struct pd_resp_call *call)
{
	pd_resp_write_integer(call->reply, (int64_t)call->client->front->slowlog.count);
}

static void answer_slowlog_reset(struct pd_resp_call *call)
{
	pd_resp_slowlog_clear(&call->client->front->slowlog);
	pd_resp_write_status(call->reply, "OK");
}

static void answer_slowlog_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"GET [<count>]",
		"    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
		"    Entries are made of:",
		"    id, timestamp, time in microseconds, arguments array, client IP and port,",
		"    client name",
		"LEN",
		"    Return the length of the slowlog.",
		"RESET",
		"    Reset the slowlog.",
	};

	pd_resp_write_help(call->reply, "SLOWLOG", lines, sizeof lines / sizeof *lines);
}

static void answer_module_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"LIST",
		"    Return a list of loaded modules: none.",
	};

	pd_resp_write_help(call->reply, "MODULE", lines, sizeof lines / sizeof *lines);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_LOADING)
#define ADMIN (FLAGS | PD_COMMAND_ADMIN)
#define ROW(name, arity, flags, group, since, summary, answer, settles_first)                               \
	{                                                                                                   \
		{ name, arity, flags, 0, 0, 0, group, since, summary, "O(1)", NULL }, answer, settles_first \
	}

static const struct pd_resp_command commands[] = {
	ROW("cluster", -2, FLAGS, "cluster", "3.0.0", "Cluster support is disabled.", answer_cluster, false),
	ROW("info", -1, FLAGS | PD_COMMAND_DANGEROUS, "server", "1.0.0",
	    "Returns information and statistics about the server.", pd_resp_answer_info, false),
	ROW("lolwut", -1, FLAGS | PD_COMMAND_READONLY | PD_COMMAND_FAST, "server", "5.0.0",
	    "Tells the version.", answer_lolwut, false),
	ROW("module|help", 2, FLAGS, "server", "5.0.0",
	    "Returns helpful text about the different subcommands.", answer_module_help, false),
	ROW("module|list", 2, ADMIN, "server", "4.0.0", "Returns all loaded modules.", answer_empty_array,
	    false),
	ROW("monitor", 1, ADMIN | PD_COMMAND_NO_MULTI, "server", "1.0.0",
	    "Listens for all requests received by the server in real-time.", answer_monitor, false),
	ROW("role", 1, FLAGS | PD_COMMAND_DANGEROUS | PD_COMMAND_FAST, "server", "2.8.12",
	    "Returns the replication role.", answer_role, false),
	ROW("shutdown", -1, ADMIN | PD_COMMAND_NO_MULTI, "server", "1.0.0",
	    "Syncs everything to disk and shuts down the server.", answer_shutdown, true),
	ROW("slowlog|get", -2, ADMIN, "server", "2.2.12", "Returns the slow log's entries.",
	    answer_slowlog_get, false),
	ROW("slowlog|help", 2, FLAGS, "server", "6.2.0",
	    "Returns helpful text about the different subcommands.", answer_slowlog_help, false),
	ROW("slowlog|len", 2, ADMIN, "server", "2.2.12", "Returns the number of entries in the slow log.",
	    answer_slowlog_len, false),
	ROW("slowlog|reset", 2, ADMIN, "server", "2.2.12", "Clears all entries from the slow log.",
	    answer_slowlog_reset, false),
	ROW("time", 1, FLAGS | PD_COMMAND_FAST, "server", "2.6.0", "Returns the server time.", answer_time,
	    false),
	ROW("wait", 3, FLAGS, "generic", "3.0.0",
	    "Waits until replicas have acknowledged this connection's writes; there are none.", answer_wait,
	    true),
	ROW("waitaof", 4, PD_COMMAND_CONNECTION | PD_COMMAND_NO_MULTI, "generic", "7.2.0",
	    "Brings this connection's writes to stable storage; there are no replicas.", answer_waitaof,
	    true),
};

const struct pd_resp_commands pd_resp_commands_server = { commands, sizeof commands / sizeof *commands };
