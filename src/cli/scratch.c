#include "cli/scratch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/resp.h"

#define PATIENCE_NS UINT64_C(60000000000) /* for a server to serve */
#define LOOK_US     20000u

int pd_scratch_init(struct pd_scratch *scratch, struct pd_os *os, const char *path, struct pd_error *err)
{
	const char *temporary = getenv("TMPDIR");
	struct pd_error why;
	uint64_t tag;
	int result;

	*scratch = (struct pd_scratch){ .os = os };
	pd_link_init(&scratch->link);
	pd_os_random(os, &tag, sizeof tag);
	if (path != NULL)
		(void)snprintf(scratch->data, sizeof scratch->data, "%s", path);
	else
		(void)snprintf(scratch->data, sizeof scratch->data, "%s/perdure-demo-%08" PRIx64,
			       temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp", tag >> 32);
	(void)snprintf(scratch->log, sizeof scratch->log, "%s.log", scratch->data);
	scratch->target.data = scratch->data;
	result = pd_os_mkdir(os, scratch->data, &why);
	if (result == PD_EXISTS)
		return pd_error_set(
			err, result,
			"%s is there already: the demo plays in a directory of its own; choose another "
			"name with --data",
			scratch->data);
	if (result != 0)
		return pd_error_set(err, result, "%s; choose another place with --data, or with TMPDIR",
				    why.text);
	scratch->made = true;
	return 0;
}

/* Until it serves: what it says meanwhile is in the file. */
static int await_server(struct pd_scratch *scratch, struct pd_error *err)
{
	static const char *const size[] = { "DBSIZE", NULL };
	uint64_t began = pd_os_monotonic_ns(scratch->os);
	struct pd_slice reply;
	int status;

	while (pd_os_monotonic_ns(scratch->os) - began < PATIENCE_NS) {
		if (pd_os_child_ended(&scratch->server, &status))
			return pd_error_set(err, PD_IO, "the server ended with status %d; %s has its words",
					    status, scratch->log);
		if (pd_target_connect(&scratch->target, scratch->os, &scratch->link, NULL) == 0 &&
		    pd_target_ask(&scratch->link, size, &reply, NULL) == 0)
			return 0;
		pd_link_close(&scratch->link);
		pd_os_sleep_us(scratch->os, LOOK_US);
	}
	return pd_error_set(err, PD_IO, "the server does not serve after %u s; %s has its words",
			    (unsigned)(PATIENCE_NS / 1000000000), scratch->log);
}

int pd_scratch_start(struct pd_scratch *scratch, struct pd_error *err)
{
	/* Whatever the environment says. */
	const char *argv[] = { "perdure",      "server", "--data",          scratch->data,
			       "--resp",       "0",      "--http",          "0",
			       "--config",     "",       "--memory-budget", "64MiB",
			       "--durability", "strict", "--memory=no",     NULL };
	int result = pd_os_child_start(&scratch->server, argv, scratch->log, err);

	return result == 0 ? await_server(scratch, err) : result;
}

void pd_scratch_kill(struct pd_scratch *scratch)
{
	pd_os_child_kill(&scratch->server);
	pd_link_close(&scratch->link);
}

int pd_scratch_stop(struct pd_scratch *scratch, struct pd_error *err)
{
	pd_link_close(&scratch->link);
	if (scratch->server.pid == 0 || pd_os_child_stop(&scratch->server) == 0)
		return 0;
	return pd_error_set(err, PD_IO, "the server did not end as it should; %s has its words",
			    scratch->log);
}

int pd_scratch_done(struct pd_scratch *scratch, bool keep, struct pd_error *err)
{
	int result;

	if (!scratch->made || keep)
		return 0;
	result = pd_os_remove_tree(scratch->os, scratch->data, err);
	return result == 0 ? pd_os_unlink(scratch->os, scratch->log, err) : result;
}

int pd_scratch_number(struct pd_scratch *scratch, const char *const *words, int64_t *ret_number,
		      struct pd_error *err)
{
	struct pd_slice rest;
	struct pd_reply reply;
	int result = pd_target_ask(&scratch->link, words, &rest, err);

	if (result != 0)
		return result;
	reply = pd_reply_read(&rest);
	*ret_number = reply.integer;
	if (reply.kind == PD_REPLY_TEXT && !pd_slice_to_int64(reply.text, ret_number))
		*ret_number = 0;
	return 0;
}
