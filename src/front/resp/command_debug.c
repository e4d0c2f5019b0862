/* DEBUG: the little of it that does no harm. */
#include "front/resp/front_private.h"
#include "os/os.h"

#define SLEEP_MAX_S 60.0

/* This connection's requests wait, nobody else's. */
static void answer_sleep(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;
	double seconds;

	if (client->sleeping) {
		client->sleeping = false;
		pd_resp_write_status(call->reply, "OK");
		return;
	}
	if (!pd_slice_to_double(call->words[2], &seconds) || seconds < 0 || seconds > SLEEP_MAX_S) {
		pd_resp_write_errorf(call->reply, "ERR seconds to sleep are a number from 0 to %.0f",
				     SLEEP_MAX_S);
		return;
	}
	client->sleeping = true;
	client->brake_until_ns = pd_os_monotonic_ns(client->front->os) + (uint64_t)(seconds * 1e9);
	pd_resp_front_stall(client, PD_RESP_STALL_BRAKE);
	call->later = true;
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"SLEEP <seconds>",
		"    Hold up this connection, and no other, for <seconds> (60 at most). Decimals are "
		"allowed.",
	};

	pd_resp_write_help(call->reply, "DEBUG", lines, sizeof lines / sizeof *lines);
}

#define FLAGS (PD_COMMAND_CONNECTION | PD_COMMAND_LOADING | PD_COMMAND_NO_MULTI)

static const struct pd_resp_command commands[] = {
	{ { "debug|help", 2, FLAGS, 0, 0, 0, "server", "1.0.0",
	    "Returns helpful text about the different subcommands.", "O(1)", NULL },
	  answer_help,
	  false },
	{ { "debug|sleep", 3, FLAGS | PD_COMMAND_ADMIN, 0, 0, 0, "server", "1.0.0",
	    "Holds up this connection for some seconds.", "O(1)", NULL },
	  answer_sleep,
	  false },
};

const struct pd_resp_commands pd_resp_commands_debug = { commands, sizeof commands / sizeof *commands };
