/* CLIENT …: who is connected, and how a connection wants to be treated. */
#include <stdio.h>

#include "front/resp/front_private.h"
#include "security/user.h"
#include "net/net.h"
#include "os/os.h"

#define NAME_ERROR "ERR Client names cannot contain spaces, newlines or special characters."

static void answer_id(struct pd_resp_call *call)
{
	pd_resp_write_integer(call->reply, (int64_t)call->client->connection->id);
}

static void answer_getname(struct pd_resp_call *call)
{
	if (call->client->name == NULL)
		pd_resp_write_null(call->reply);
	else
		pd_resp_write_bulk_string(call->reply, call->client->name);
}

/* Printable, without spaces: what fits into one field of CLIENT LIST. */
static bool one_word(struct pd_slice text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] < '!' || text.data[i] > '~')
			return false;
	return true;
}

static void answer_setname(struct pd_resp_call *call)
{
	if (!one_word(call->words[2]))
		pd_resp_write_error(call->reply, NAME_ERROR);
	else if (pd_resp_client_set_name(call->client, call->words[2]) != 0)
		pd_resp_write_error(call->reply, "OOM out of memory for the name");
	else
		pd_resp_write_status(call->reply, "OK");
}

static void answer_setinfo(struct pd_resp_call *call)
{
	struct pd_slice option = call->words[2];
	bool name = pd_slice_equal_nocase(option, "lib-name");

	if (!name && !pd_slice_equal_nocase(option, "lib-ver")) {
		pd_resp_write_errorf(call->reply, "ERR Unrecognized option '%.*s'",
				     (int)(option.size < 64 ? option.size : 64), (const char *)option.data);
		return;
	}
	if (!one_word(call->words[3])) {
		pd_resp_write_errorf(call->reply,
				     "ERR %s cannot contain spaces, newlines or special characters.",
				     name ? "lib-name" : "lib-ver");
		return;
	}
	if (pd_resp_client_set_text(name ? &call->client->library_name : &call->client->library_version,
				    call->words[3]) != 0)
		pd_resp_write_error(call->reply, "OOM out of memory for the text");
	else
		pd_resp_write_status(call->reply, "OK");
}

/* ON or OFF; else the error is written. */
static void answer_switch(struct pd_resp_call *call, bool *flag)
{
	bool on = pd_slice_equal_nocase(call->words[2], "on");

	if (!on && !pd_slice_equal_nocase(call->words[2], "off")) {
		pd_resp_write_error(call->reply, "ERR syntax error");
		return;
	}
	*flag = on;
	pd_resp_write_status(call->reply, "OK");
}

static void answer_no_evict(struct pd_resp_call *call)
{
	answer_switch(call, &call->client->no_evict);
}

static void answer_no_touch(struct pd_resp_call *call)
{
	answer_switch(call, &call->client->no_touch);
}

/* ---- INFO and LIST ---- */

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

/* One line in Redis's words. 0 or a negative code. */
static int describe(const struct pd_resp_client *client, struct pd_buffer *text)
{
	const struct pd_connection *connection = client->connection;
	const struct pd_resp_subscriber *subscriber = &client->subscriber;
	uint64_t now = pd_os_monotonic_ns(client->front->os);
	size_t queued = pd_resp_transaction_memory(&client->transaction);
	size_t unsent = pd_resp_client_unsent(client);
	char flags[8];
	size_t flag_count = 0;

	if (pd_resp_subscriber_has_any(&client->subscriber))
		flags[flag_count++] = 'P';
	if (client->monitoring)
		flags[flag_count++] = 'O';
	if (client->transaction.open)
		flags[flag_count++] = 'x';
	if (client->closing)
		flags[flag_count++] = 'c';
	if (client->no_evict)
		flags[flag_count++] = 'e';
	if (client->no_touch)
		flags[flag_count++] = 'T';
	if (flag_count == 0)
		flags[flag_count++] = 'N';
	flags[flag_count] = '\0';
	return pd_buffer_printf(
		text,
		"id=%llu addr=%s laddr=%s fd=%d name=%s age=%llu idle=%llu flags=%s db=0 sub=%zu psub=%zu "
		"ssub=%zu "
		"multi=%lld qbuf=%zu qbuf-free=%zu multi-mem=%zu obl=%zu oll=0 omem=%zu tot-mem=%zu "
		"events=%s "
		"cmd=%s user=%s redir=-1 resp=%d lib-name=%s lib-ver=%s\n",
		(unsigned long long)connection->id, connection->peer, connection->local,
		connection->descriptor, or_empty(client->name),
		(unsigned long long)((now - client->since_ns) / 1000000000u),
		(unsigned long long)((now > client->last_ns ? now - client->last_ns : 0) / 1000000000u),
		flags, subscriber->topics[PD_RESP_CHANNEL].count, subscriber->topics[PD_RESP_PATTERN].count,
		subscriber->topics[PD_RESP_SHARD].count,
		client->transaction.open ? (long long)client->transaction.count : -1LL,
		connection->input.size, connection->input.capacity - connection->input.size, queued, unsent,
		connection->output.capacity, client->memory, unsent > 0 ? "rw" : "r",
		client->last_command != NULL ? client->last_command->name.text : "NULL",
		pd_resp_client_user_name(client), client->protocol, or_empty(client->library_name),
		or_empty(client->library_version));
}

static void write_text(struct pd_resp_call *call, struct pd_buffer *text, int result)
{
	if (result == 0)
		pd_resp_write_verbatim(call->reply, "txt", pd_buffer_slice(text));
	else
		pd_resp_write_error(call->reply, "OOM out of memory for the list of clients");
	pd_buffer_done(text);
}

static void answer_info(struct pd_resp_call *call)
{
	struct pd_buffer text;

	pd_buffer_init(&text, 64 * 1024);
	call->client->last_command = call->entry;
	write_text(call, &text, describe(call->client, &text));
}

enum client_type { ANY_TYPE, NORMAL, PUBSUB, NOBODY, UNKNOWN_TYPE };

/* There are no replicas. */
static enum client_type parse_type(struct pd_slice word)
{
	static const struct {
		const char *word;
		enum client_type type;
	} types[] = { { "normal", NORMAL },
		      { "pubsub", PUBSUB },
		      { "master", NOBODY },
		      { "replica", NOBODY },
		      { "slave", NOBODY } };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (pd_slice_equal_nocase(word, types[i].word))
			return types[i].type;
	return UNKNOWN_TYPE;
}

static bool is_of_type(const struct pd_resp_client *client, enum client_type type)
{
	if (type == ANY_TYPE)
		return true;
	return type == (pd_resp_subscriber_has_any(&client->subscriber) ? PUBSUB : NORMAL);
}

static bool type_or_error(struct pd_resp_call *call, struct pd_slice word, enum client_type *ret_type)
{
	*ret_type = parse_type(word);
	if (*ret_type != UNKNOWN_TYPE)
		return true;
	pd_resp_write_errorf(call->reply, "ERR Unknown client type '%.*s'",
			     (int)(word.size < 64 ? word.size : 64), (const char *)word.data);
	return false;
}

static bool is_listed(const struct pd_resp_call *call, const struct pd_resp_client *client)
{
	int64_t id;

	if (call->count <= 3 || !pd_slice_equal_nocase(call->words[2], "id"))
		return true;
	for (size_t i = 3; i < call->count; i++)
		if (pd_slice_to_int64(call->words[i], &id) && (uint64_t)id == client->connection->id)
			return true;
	return false;
}

static void answer_list(struct pd_resp_call *call)
{
	const struct pd_resp_front *front = call->client->front;
	enum client_type type = ANY_TYPE;
	struct pd_buffer text;
	int result = 0;
	int64_t id;

	if (call->count > 2) {
		bool by_type = pd_slice_equal_nocase(call->words[2], "type") && call->count == 4;
		bool by_id = pd_slice_equal_nocase(call->words[2], "id") && call->count > 3;

		if (!by_type && !by_id) {
			pd_resp_write_error(call->reply, "ERR syntax error");
			return;
		}
		if (by_type && !type_or_error(call, call->words[3], &type))
			return;
		for (size_t i = 3; by_id && i < call->count; i++)
			if (!pd_slice_to_int64(call->words[i], &id)) {
				pd_resp_write_error(call->reply, "ERR Invalid client ID");
				return;
			}
	}
	call->client->last_command = call->entry;
	pd_buffer_init(&text, 256u * 1024 * 1024);
	for (size_t i = 0; i < front->client_count && result == 0; i++)
		if (is_of_type(front->clients[i], type) && is_listed(call, front->clients[i]))
			result = describe(front->clients[i], &text);
	write_text(call, &text, result);
}

/* ---- KILL ---- */

struct kill_filter {
	uint64_t id;                 /* 0: any */
	struct pd_slice peer, local; /* size 0: any */
	struct pd_slice user;        /* size 0: any */
	enum client_type type;
	bool skip_me;
};

/* One option and its value; false: the error is written. */
static bool take_kill_option(struct pd_resp_call *call, struct pd_slice option, struct pd_slice value,
			     struct kill_filter *filter)
{
	int64_t id;

	if (pd_slice_equal_nocase(option, "id")) {
		if (!pd_slice_to_int64(value, &id) || id <= 0) {
			pd_resp_write_error(call->reply, "ERR client-id should be greater than 0");
			return false;
		}
		filter->id = (uint64_t)id;
	} else if (pd_slice_equal_nocase(option, "type")) {
		return type_or_error(call, value, &filter->type);
	} else if (pd_slice_equal_nocase(option, "addr")) {
		filter->peer = value;
	} else if (pd_slice_equal_nocase(option, "laddr")) {
		filter->local = value;
	} else if (pd_slice_equal_nocase(option, "user")) {
		const struct pd_users *users = call->client->front->options.users;

		filter->user = value;
		if (!pd_slice_equal(value, pd_slice_string("default")) &&
		    (users == NULL || pd_users_find(users, value) == NULL)) {
			pd_resp_write_errorf(call->reply, "ERR No such user '%.*s'",
					     (int)(value.size < 64 ? value.size : 64),
					     (const char *)value.data);
			return false;
		}
	} else if (pd_slice_equal_nocase(option, "skipme") &&
		   (pd_slice_equal_nocase(value, "yes") || pd_slice_equal_nocase(value, "no"))) {
		filter->skip_me = pd_slice_equal_nocase(value, "yes");
	} else {
		pd_resp_write_error(call->reply, "ERR syntax error");
		return false;
	}
	return true;
}

static bool is_killed(const struct pd_resp_client *client, const struct kill_filter *filter)
{
	const struct pd_connection *connection = client->connection;

	return (filter->user.size == 0 ||
		pd_slice_equal(filter->user, pd_slice_string(pd_resp_client_user_name(client)))) &&
	       is_of_type(client, filter->type) && (filter->id == 0 || filter->id == connection->id) &&
	       (filter->peer.size == 0 || pd_slice_equal(filter->peer, pd_slice_string(connection->peer))) &&
	       (filter->local.size == 0 || pd_slice_equal(filter->local, pd_slice_string(connection->local)));
}

static int64_t kill_clients(struct pd_resp_call *call, const struct kill_filter *filter)
{
	const struct pd_resp_front *front = call->client->front;
	int64_t killed = 0;

	/* From the end: closing one moves the last into its place. */
	for (size_t i = front->client_count; i > 0; i--) {
		struct pd_resp_client *client = front->clients[i - 1];

		if (!is_killed(client, filter) || (filter->skip_me && client == call->client))
			continue;
		killed++;
		if (client == call->client)
			client->closing = true; /* after this reply */
		else
			pd_resp_client_close(client);
	}
	return killed;
}

static void answer_kill(struct pd_resp_call *call)
{
	struct kill_filter filter = { .type = ANY_TYPE, .skip_me = true };

	if (call->count == 3) {
		/* The old form: an address alone, its own as well. */
		filter.peer = call->words[2];
		filter.skip_me = false;
		if (filter.peer.size == 0 || kill_clients(call, &filter) == 0)
			pd_resp_write_error(call->reply, "ERR No such client");
		else
			pd_resp_write_status(call->reply, "OK");
		return;
	}
	if (call->count % 2 != 0) {
		pd_resp_write_error(call->reply, "ERR syntax error");
		return;
	}
	for (size_t i = 2; i + 1 < call->count; i += 2)
		if (!take_kill_option(call, call->words[i], call->words[i + 1], &filter))
			return;
	pd_resp_write_integer(call->reply, kill_clients(call, &filter));
}

/* ---- REPLY, PAUSE, UNPAUSE ---- */

static void answer_reply(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;
	struct pd_slice mode = call->words[2];

	if (pd_slice_equal_nocase(mode, "on")) {
		client->reply_mode = PD_RESP_REPLY_ON;
	} else if (pd_slice_equal_nocase(mode, "off")) {
		client->reply_mode = PD_RESP_REPLY_OFF;
	} else if (pd_slice_equal_nocase(mode, "skip")) {
		if (client->reply_mode != PD_RESP_REPLY_OFF)
			client->reply_mode = PD_RESP_REPLY_SKIP_NEXT;
	} else {
		pd_resp_write_error(call->reply, "ERR syntax error");
		return;
	}
	pd_resp_write_status(call->reply, "OK");
}

static void answer_pause(struct pd_resp_call *call)
{
	struct pd_resp_front *front = call->client->front;
	bool writes_only = false;
	int64_t timeout_ms;

	if (call->count == 4) {
		writes_only = pd_slice_equal_nocase(call->words[3], "write");
		if (!writes_only && !pd_slice_equal_nocase(call->words[3], "all")) {
			pd_resp_write_error(call->reply, "ERR CLIENT PAUSE mode must be WRITE or ALL");
			return;
		}
	} else if (call->count > 4) {
		pd_resp_write_error(call->reply, "ERR wrong number of arguments for 'client|pause' command");
		return;
	}
	if (!pd_slice_to_int64(call->words[2], &timeout_ms) || timeout_ms > INT64_MAX / 2000000) {
		pd_resp_write_error(call->reply, "ERR timeout is not an integer or out of range");
		return;
	}
	if (timeout_ms < 0) {
		pd_resp_write_error(call->reply, "ERR timeout is negative");
		return;
	}
	front->pause_until_ns = pd_os_monotonic_ns(front->os) + (uint64_t)timeout_ms * 1000000u;
	front->pause_writes_only = writes_only;
	pd_resp_write_status(call->reply, "OK");
}

static void answer_unpause(struct pd_resp_call *call)
{
	call->client->front->pause_until_ns = 0;
	pd_resp_write_status(call->reply, "OK");
}

/* ---- what is not there, said so ---- */

static void answer_tracking(struct pd_resp_call *call)
{
	if (pd_slice_equal_nocase(call->words[2], "off"))
		pd_resp_write_status(call->reply, "OK");
	else if (pd_slice_equal_nocase(call->words[2], "on"))
		pd_resp_write_error(
			call->reply,
			"ERR client side caching is not built yet: CLIENT TRACKING is always off");
	else
		pd_resp_write_error(call->reply, "ERR syntax error");
}

static void answer_caching(struct pd_resp_call *call)
{
	pd_resp_write_error(call->reply,
			    "ERR CLIENT CACHING can be called only when the client is in tracking mode with "
			    "OPTIN or OPTOUT mode enabled");
}

static void answer_getredir(struct pd_resp_call *call)
{
	pd_resp_write_integer(call->reply, -1);
}

static void answer_trackinginfo(struct pd_resp_call *call)
{
	pd_resp_write_map(call->reply, 3);
	pd_resp_write_bulk_string(call->reply, "flags");
	pd_resp_write_set(call->reply, 1);
	pd_resp_write_bulk_string(call->reply, "off");
	pd_resp_write_bulk_string(call->reply, "redirect");
	pd_resp_write_integer(call->reply, -1);
	pd_resp_write_bulk_string(call->reply, "prefixes");
	pd_resp_write_array(call->reply, 0);
}

/* No command here ever blocks. */
static void answer_unblock(struct pd_resp_call *call)
{
	int64_t id;

	if (call->count > 4)
		pd_resp_write_subcommand_error(call);
	else if (call->count == 4 && !pd_slice_equal_nocase(call->words[3], "timeout") &&
		 !pd_slice_equal_nocase(call->words[3], "error"))
		pd_resp_write_error(call->reply, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
	else if (!pd_slice_to_int64(call->words[2], &id))
		pd_resp_write_error(call->reply, "ERR value is not an integer or out of range");
	else
		pd_resp_write_integer(call->reply, 0);
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"CACHING (YES|NO)",
		"    Enable or disable tracking of the keys for the next command: it is always off.",
		"GETREDIR",
		"    Return the client that tracking messages go to: none, -1.",
		"GETNAME",
		"    Return the name of the current connection.",
		"ID",
		"    Return the ID of the current connection.",
		"INFO",
		"    Return information about the current client connection.",
		"KILL <ip:port>",
		"    Kill connection made from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]",
		"    Kill connections. Options are: ID, ADDR, LADDR, TYPE, USER, SKIPME.",
		"LIST [TYPE NORMAL|MASTER|REPLICA|PUBSUB] [ID <id> [...]]",
		"    Return information about client connections.",
		"NO-EVICT (ON|OFF)",
		"    Protect current client connection from eviction; none is ever evicted.",
		"NO-TOUCH (ON|OFF)",
		"    Do not change when keys were last used; that is not tracked.",
		"PAUSE <timeout> [WRITE|ALL]",
		"    Suspend all, or just write, clients for <timeout> milliseconds.",
		"REPLY (ON|OFF|SKIP)",
		"    Control the replies sent to the current connection.",
		"SETINFO (LIB-NAME|LIB-VER) <value>",
		"    Tell which client library this is.",
		"SETNAME <name>",
		"    Assign the name <name> to the current connection.",
		"TRACKING (ON|OFF)",
		"    Client side caching: always off.",
		"TRACKINGINFO",
		"    Report that tracking is off.",
		"UNBLOCK <clientid> [TIMEOUT|ERROR]",
		"    Unblock a blocked client: no command here blocks, so 0.",
		"UNPAUSE",
		"    Stop the current client pause, resuming traffic.",
	};

	pd_resp_write_help(call->reply, "CLIENT", lines, sizeof lines / sizeof *lines);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_LOADING)
#define ADMIN (FLAGS | PD_COMMAND_ADMIN)
#define ROW(name, arity, flags, since, summary, answer)                                                \
	{                                                                                              \
		{ "client|" name, arity, flags, 0, 0, 0, "connection", since, summary, "O(1)", NULL }, \
			answer, false                                                                  \
	}
#define ROW_N(name, arity, flags, since, summary, answer) \
	{                                                 \
		{ "client|" name,                         \
		  arity,                                  \
		  flags,                                  \
		  0,                                      \
		  0,                                      \
		  0,                                      \
		  "connection",                           \
		  since,                                  \
		  summary,                                \
		  "O(N), N the number of connections.",   \
		  NULL },                                 \
			answer, false                     \
	}

static const struct pd_resp_command commands[] = {
	ROW("caching", 3, FLAGS, "6.0.0", "Tells whether the next command is tracked; nothing is.",
	    answer_caching),
	ROW("getredir", 2, FLAGS, "6.0.0", "Returns the client that tracking messages go to: none.",
	    answer_getredir),
	ROW("getname", 2, FLAGS, "2.6.9", "Returns the name of the connection.", answer_getname),
	ROW("help", 2, FLAGS, "5.0.0", "Returns helpful text about the different subcommands.", answer_help),
	ROW("id", 2, FLAGS, "5.0.0", "Returns the unique client ID of the connection.", answer_id),
	ROW("info", 2, FLAGS, "6.2.0", "Returns information about the connection.", answer_info),
	ROW_N("kill", -3, ADMIN, "2.4.0", "Terminates open connections.", answer_kill),
	ROW_N("list", -2, ADMIN, "2.4.0", "Lists open connections.", answer_list),
	ROW("no-evict", 3, ADMIN, "7.0.0", "Sets the client eviction mode of the connection.",
	    answer_no_evict),
	ROW("no-touch", 3, FLAGS, "7.2.0", "Controls whether commands change when keys were last used.",
	    answer_no_touch),
	ROW("pause", -3, ADMIN, "2.9.50", "Suspends commands processing.", answer_pause),
	ROW("reply", 3, FLAGS, "3.2.0", "Instructs the server whether to reply to commands.", answer_reply),
	ROW("setinfo", 4, FLAGS, "7.2.0", "Sets information specific to the client library.", answer_setinfo),
	ROW("setname", 3, FLAGS, "2.6.9", "Sets the connection name.", answer_setname),
	ROW("tracking", -3, FLAGS, "6.0.0", "Controls client side caching, which is always off.",
	    answer_tracking),
	ROW("trackinginfo", 2, FLAGS, "6.2.0", "Tells that client side caching is off.", answer_trackinginfo),
	ROW("unblock", -3, ADMIN, "5.0.0", "Unblocks a client that a command blocks; none here does.",
	    answer_unblock),
	ROW_N("unpause", 2, ADMIN, "6.2.0", "Resumes processing commands from paused clients.",
	      answer_unpause),
};

const struct pd_resp_commands pd_resp_commands_client = { commands, sizeof commands / sizeof *commands };
