#include "cli/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "cli/password.h"
#include "engine/engine.h"
#include "net/tls_client.h"
#include "wire/resp.h"

#define WORDS_MAX   16
#define REFUSAL_MAX 8192 /* of an error's text; an escaped byte takes four */

/* ---- the password ---- */

int pd_target_take_password(struct pd_target *target, char password[PD_TARGET_PASSWORD_SIZE],
			    struct pd_error *err)
{
	char question[128];
	int result;

	target->password = getenv("PERDURE_PASSWORD");
	if (!target->ask_password && (target->user == NULL || target->password != NULL))
		return 0;
	(void)snprintf(question, sizeof question,
		       "Password of %.80s: ", target->user != NULL ? target->user : "the default user");
	result = pd_password_ask(question, password, PD_TARGET_PASSWORD_SIZE, err);
	if (result == 0)
		target->password = password;
	return result;
}

/* ---- getting there ---- */

static int connect_directory(const char *data, struct pd_link *link, struct pd_error *err)
{
	char *path = pd_asprintf("%s/" PD_ADMIN_SOCKET, data);
	int result;

	if (path == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the path of a socket");
	result = pd_link_connect_path(link, path, data, err);
	pd_free(path);
	return result;
}

/* Nobody serves the directory that was named. */
static int no_server(struct pd_os *os, const char *data, struct pd_error *err)
{
	struct pd_os_file_info info;
	int result = pd_os_info(os, data, &info, NULL);

	if (result == 0 && !info.is_directory)
		return pd_error_set(err, PD_NOT_FOUND,
				    "%s is not a directory; say with --data where the server keeps its data",
				    data);
	if (result == PD_NOT_FOUND)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"there is no directory %s; say with --data where the server keeps its data, or "
			"with --host and --port where it listens",
			data);
	return pd_error_set(
		err, PD_NOT_FOUND,
		"no server is running on %s; start one with 'perdure server --data %s', or say with "
		"--host and --port where another listens",
		data, data);
}

static int connect_host(const struct pd_target *target, struct pd_link *link, struct pd_error *err)
{
	const char *host = target->host != NULL ? target->host : PD_TARGET_HOST;
	unsigned port = target->port != 0 ? (unsigned)target->port : PD_TARGET_PORT;
	struct pd_error why = { 0 };
	int result = pd_link_connect(link, host, port, &why);

	if (result != PD_NOT_FOUND && result != PD_IO)
		return result == 0 ? 0 : pd_error_set(err, result, "%s", why.text);
	return pd_error_set(
		err, result,
		"%s; is the server running ('perdure server --resp %u'), and are --host and --port "
		"right?",
		why.text, port);
}

/* The server of ./data if there is one, else the one on the usual port. */
static int connect_usual(struct pd_link *link, struct pd_error *err)
{
	int result = connect_directory(PD_TARGET_DATA, link, NULL);

	if (result == 0 || result == PD_CANCELLED)
		return result;
	result = pd_link_connect(link, PD_TARGET_HOST, PD_TARGET_PORT, err);
	if (result != PD_NOT_FOUND)
		return result;
	return pd_error_set(
		err, result,
		"no server is running on " PD_TARGET_DATA
		", and nobody listens on %s; start one with 'perdure server', or say with --data, or "
		"--host and --port, where it is",
		link->name);
}

static int reach(const struct pd_target *target, struct pd_os *os, struct pd_link *link, struct pd_error *err)
{
	int result;

	if (target->host != NULL || target->port != 0 || target->tls)
		return connect_host(target, link, err);
	if (target->data == NULL)
		return connect_usual(link, err);
	result = connect_directory(target->data, link, err);
	if (result == PD_NOT_FOUND)
		return no_server(os, target->data, err);
	if (result == PD_PERMISSION)
		return pd_error_set(
			err, result,
			"the server of %s takes commands through its directory from its own user alone: "
			"run this as that user, or say with --host and --port where it listens",
			target->data);
	return result;
}

/* ---- one command ---- */

/* The server's own words; nothing in them reaches a terminal that it would obey. */
static int refusal(struct pd_slice text, struct pd_error *err)
{
	struct pd_buffer plain;

	pd_buffer_init(&plain, REFUSAL_MAX);
	if (pd_append_line(&plain, pd_slice(text.data,
					    text.size < REFUSAL_MAX / 8 ? text.size : REFUSAL_MAX / 8)) != 0)
		pd_buffer_clear(&plain);
	(void)pd_error_set(err, PD_INVALID, "%.*s", (int)plain.size,
			   plain.size > 0 ? (const char *)plain.data : "");
	pd_buffer_done(&plain);
	return PD_INVALID;
}

int pd_target_ask(struct pd_link *link, const char *const *words, struct pd_slice *ret_reply,
		  struct pd_error *err)
{
	struct pd_slice slices[WORDS_MAX];
	size_t count = 0;

	for (; words[count] != NULL; count++) {
		PD_ASSERT(count < WORDS_MAX);
		slices[count] = pd_slice_string(words[count]);
	}
	return pd_target_ask_slices(link, slices, count, ret_reply, err);
}

int pd_target_ask_slices(struct pd_link *link, const struct pd_slice *words, size_t count,
			 struct pd_slice *ret_reply, struct pd_error *err)
{
	int result = pd_link_send(link, words, count, err);
	struct pd_reply reply;
	struct pd_slice rest;

	do {
		if (result == 0)
			result = pd_link_receive(link, link->patience_s, &rest, err);
		if (result != 0)
			return result;
		*ret_reply = rest;
		reply = pd_reply_read(&rest);
	} while (reply.mark == '>');
	return reply.kind == PD_REPLY_ERROR ? refusal(reply.text, err) : 0;
}

/* ---- the handshake ---- */

static bool says(const struct pd_error *err, const char *prefix)
{
	return strncmp(err->text, prefix, strlen(prefix)) == 0;
}

static int refused(const struct pd_target *target, const struct pd_link *link, const struct pd_error *why,
		   struct pd_error *err)
{
	return pd_error_set(err, PD_PERMISSION,
			    "the server at %s does not take user \"%s\" with this password: %s", link->name,
			    target->user != NULL ? target->user : "default", why->text);
}

/* Of a server that knows protocol 2 only. */
static int authenticate(struct pd_target *target, struct pd_link *link, struct pd_error *err)
{
	const char *words[] = { "AUTH", target->user != NULL ? target->user : target->password,
				target->user != NULL ? target->password : NULL, NULL };
	struct pd_error why = { 0 };
	struct pd_slice reply;
	int result;

	target->protocol = 2;
	if (target->password == NULL)
		return 0;
	result = pd_target_ask(link, words, &reply, &why);
	if (result == PD_INVALID)
		return refused(target, link, &why, err);
	return result == 0 ? 0 : pd_error_set(err, result, "%s", why.text);
}

/* Agree on a protocol, and say who it is. */
static int greet(struct pd_target *target, struct pd_link *link, struct pd_error *err)
{
	const char *words[] = { "HELLO",          "3", NULL, target->user != NULL ? target->user : "default",
				target->password, NULL };
	struct pd_error why = { 0 };
	struct pd_slice reply;
	int result;

	if (target->password != NULL)
		words[2] = "AUTH";
	result = pd_target_ask(link, words, &reply, &why);
	target->protocol = 3;
	if (result == 0)
		return 0;
	if (result != PD_INVALID)
		return pd_error_set(err, result, "%s%s", why.text,
				    result == PD_IO && !target->tls &&
						    (target->host != NULL || target->port != 0)
					    ? "; if it speaks TLS there, say --tls"
					    : "");
	if (target->password != NULL && (says(&why, "WRONGPASS") || says(&why, "NOPERM")))
		return refused(target, link, &why, err);
	if (says(&why, "NOAUTH")) {
		target->protocol = 2; /* until somebody says AUTH */
		return 0;
	}
	return authenticate(target, link, err);
}

static int secure(const struct pd_target *target, struct pd_link *link, struct pd_error *err)
{
	const struct pd_tls_client_options options = { .host = target->host != NULL ? target->host
										    : PD_TARGET_HOST,
						       .ca_file = target->ca_file,
						       .certificate_file = target->certificate_file,
						       .key_file = target->key_file,
						       .unverified = target->unverified };

	if ((target->certificate_file == NULL) != (target->key_file == NULL))
		return pd_error_set(err, PD_INVALID, "--cert and --key go together");
	return pd_link_secure(link, &options, err);
}

int pd_target_connect(struct pd_target *target, struct pd_os *os, struct pd_link *link, struct pd_error *err)
{
	int result = reach(target, os, link, err);

	if (result == 0 && target->tls)
		result = secure(target, link, err);
	if (result == 0)
		result = greet(target, link, err);
	/* Nobody goes on as somebody else than was asked for. */
	if (result != 0)
		pd_link_close(link);
	return result;
}
