/* PING ECHO HELLO AUTH SELECT QUIT RESET. */
#include <string.h>

#include "base/memory.h"
#include "front/resp/front_private.h"
#include "security/user.h"

#define NO_PASSWORD_TEXT                                                                        \
	"ERR AUTH <password> called without any password configured for the default user. Are " \
	"you sure your configuration is correct?"

static void answer_ping(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;

	if (call->count > 2) {
		pd_resp_write_error(call->reply, "ERR wrong number of arguments for 'ping' command");
	} else if (client->protocol == 2 && pd_resp_subscriber_has_any(&client->subscriber)) {
		/* It must look like a message. */
		call->is_push = true;
		pd_resp_write_array(call->reply, 2);
		pd_resp_write_bulk_string(call->reply, "pong");
		pd_resp_write_bulk(call->reply, call->count == 2 ? call->words[1] : pd_slice(NULL, 0));
	} else if (call->count == 2) {
		pd_resp_write_bulk(call->reply, call->words[1]);
	} else {
		pd_resp_write_status(call->reply, "PONG");
	}
}

static void answer_echo(struct pd_resp_call *call)
{
	pd_resp_write_bulk(call->reply, call->words[1]);
}

static void answer_auth(struct pd_resp_call *call)
{
	const struct pd_users *users = call->client->front->options.users;
	bool named = call->count == 3;

	if (call->count > 3)
		pd_resp_write_error(call->reply, "ERR syntax error");
	else if (!named && !call->client->front->loading && (users == NULL || users->count == 0))
		pd_resp_write_error(call->reply, NO_PASSWORD_TEXT);
	else if (pd_resp_log_in(call, named ? call->words[1] : pd_slice_string("default"),
				call->words[named ? 2 : 1]) == PD_RESP_LOGIN_DONE)
		pd_resp_write_status(call->reply, "OK");
}

static bool name_is_valid(struct pd_slice name)
{
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] < '!' || name.data[i] > '~')
			return false;
	return true;
}

struct hello {
	struct pd_slice name, user, password;
	bool named, authenticates;
};

/* The options of HELLO after the version. false: the error is written. */
static bool take_hello_options(struct pd_resp_call *call, struct hello *hello)
{
	for (size_t i = 2; i < call->count; i++) {
		size_t left = call->count - 1 - i;

		if (pd_slice_equal_nocase(call->words[i], "auth") && left >= 2) {
			hello->authenticates = true;
			hello->user = call->words[i + 1];
			hello->password = call->words[i + 2];
			i += 2;
		} else if (pd_slice_equal_nocase(call->words[i], "setname") && left >= 1) {
			hello->name = call->words[++i];
			hello->named = true;
			if (!name_is_valid(hello->name)) {
				pd_resp_write_error(call->reply, "ERR Client names cannot contain spaces, "
								 "newlines or special characters.");
				return false;
			}
		} else {
			pd_resp_write_errorf(call->reply, "ERR Syntax error in HELLO option '%.*s'",
					     (int)(call->words[i].size < 128 ? call->words[i].size : 128),
					     (const char *)call->words[i].data);
			return false;
		}
	}
	return true;
}

static void answer_hello(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;
	int64_t protocol = client->protocol;
	struct hello hello = { 0 };

	if (call->count > 1 && !pd_slice_to_int64(call->words[1], &protocol)) {
		pd_resp_write_error(call->reply, "ERR Protocol version is not an integer or out of range");
		return;
	}
	if (protocol != 2 && protocol != 3) {
		pd_resp_write_error(call->reply, "NOPROTO unsupported protocol version");
		return;
	}
	if (!take_hello_options(call, &hello))
		return;
	if (hello.authenticates && pd_resp_log_in(call, hello.user, hello.password) != PD_RESP_LOGIN_DONE)
		return;
	if (!pd_resp_access_is_known(client)) {
		pd_resp_write_error(
			call->reply,
			"NOAUTH HELLO must be called with the client already authenticated, otherwise "
			"the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the "
			"client and select the RESP protocol version at the same time");
		return;
	}
	if (hello.named && pd_resp_client_set_name(client, hello.name) != 0) {
		pd_resp_write_error(call->reply, "OOM out of memory for the name");
		return;
	}
	client->protocol = (int)protocol;
	call->reply->protocol = (int)protocol;
	pd_resp_write_map(call->reply, 7);
	pd_resp_write_bulk_string(call->reply, "server");
	pd_resp_write_bulk_string(call->reply, "redis");
	pd_resp_write_bulk_string(call->reply, "version");
	pd_resp_write_bulk_string(call->reply, PD_RESP_VERSION);
	pd_resp_write_bulk_string(call->reply, "proto");
	pd_resp_write_integer(call->reply, protocol);
	pd_resp_write_bulk_string(call->reply, "id");
	pd_resp_write_integer(call->reply, (int64_t)client->connection->id);
	pd_resp_write_bulk_string(call->reply, "mode");
	pd_resp_write_bulk_string(call->reply, "standalone");
	pd_resp_write_bulk_string(call->reply, "role");
	pd_resp_write_bulk_string(call->reply, "master");
	pd_resp_write_bulk_string(call->reply, "modules");
	pd_resp_write_array(call->reply, 0);
}

static void answer_select(struct pd_resp_call *call)
{
	int64_t index;

	if (!pd_slice_to_int64(call->words[1], &index))
		pd_resp_write_error(call->reply, "ERR value is not an integer or out of range");
	else if (index != 0)
		pd_resp_write_error(call->reply, "ERR DB index is out of range");
	else
		pd_resp_write_status(call->reply, "OK");
}

static void answer_quit(struct pd_resp_call *call)
{
	call->client->closing = true;
	pd_resp_write_status(call->reply, "OK");
}

static void answer_reset(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;

	client->protocol = 2;
	call->reply->protocol = 2;
	client->reply_mode = PD_RESP_REPLY_ON;
	client->no_evict = false;
	client->no_touch = false;
	pd_free(client->name);
	client->name = NULL;
	/* Who it was is forgotten, too. The next command that needs one gets a fresh session: whole tenant, default level. */
	pd_resp_client_become(client, NULL);
	pd_resp_write_status(call->reply, "RESET");
}

#define ALWAYS (PD_COMMAND_CONNECTION | PD_COMMAND_LOADING | PD_COMMAND_FAST)
#define ROW(name, arity, flags, since, summary, answer)                                                    \
	{                                                                                                  \
		{ name, arity, flags, 0, 0, 0, "connection", since, summary, "O(1)", NULL }, answer, false \
	}

static const struct pd_resp_command commands[] = {
	ROW("auth", -2, ALWAYS | PD_COMMAND_NO_MULTI | PD_COMMAND_NO_AUTH | PD_COMMAND_SECRET, "1.0.0",
	    "Authenticates the connection.", answer_auth),
	ROW("echo", 2, ALWAYS, "1.0.0", "Returns the given string.", answer_echo),
	ROW("hello", -1, ALWAYS | PD_COMMAND_NO_MULTI | PD_COMMAND_NO_AUTH | PD_COMMAND_SECRET, "6.0.0",
	    "Handshakes with the server.", answer_hello),
	ROW("ping", -1, ALWAYS | PD_COMMAND_SUBSCRIBED, "1.0.0", "Returns the server's liveliness response.",
	    answer_ping),
	ROW("quit", -1, ALWAYS | PD_COMMAND_NO_AUTH | PD_COMMAND_SUBSCRIBED, "1.0.0",
	    "Closes the connection.", answer_quit),
	ROW("reset", 1, ALWAYS | PD_COMMAND_NO_AUTH | PD_COMMAND_SUBSCRIBED, "6.2.0",
	    "Resets the connection.", answer_reset),
	ROW("select", 2, ALWAYS, "1.0.0", "Changes the selected database; there is one, 0.", answer_select),
};

const struct pd_resp_commands pd_resp_commands_connection = { commands, sizeof commands / sizeof *commands };
