#include "cli/admin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "engine/engine.h"
#include "server/server.h"
#include "wire/resp.h"

#define REPLY_TIMEOUT_S 60 /* a server that says nothing for so long is asked no more */
#define REPLY_MAX       (64u * 1024 * 1024)
#define READ_BYTES      (16u * 1024)
#define WORDS_MAX       1024 /* bytes of a command */

/* ---- connecting ---- */

/* Why there is nobody to talk to. */
static int nobody(const struct pd_admin *admin, int errnum, struct pd_error *err)
{
	const char *data = admin->data;
	struct pd_os_file_info info;

	if (errnum == EACCES || errnum == EPERM)
		return pd_error_set(
			err, PD_PERMISSION,
			"the server of %s takes commands from its own user alone: run this as that "
			"user",
			data);
	if (errnum != ENOENT && errnum != ECONNREFUSED && errnum != ENOTDIR)
		return pd_error_system(err, errnum, "cannot connect to %s/" PD_ADMIN_SOCKET, data);
	if (pd_os_info(admin->os, data, &info, NULL) == PD_NOT_FOUND)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"there is no directory %s; say with --data where the server keeps its data", data);
	return pd_error_set(
		err, PD_NOT_FOUND,
		"no server is running on %s, and this goes through one: start it with 'perdure server "
		"--data %s'. 'perdure log verify', 'dump' and 'stats' work without",
		data, data);
}

int pd_admin_open(struct pd_admin *admin, struct pd_os *os, const char *data, struct pd_error *err)
{
	struct timeval timeout = { .tv_sec = REPLY_TIMEOUT_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int size = snprintf(address.sun_path, sizeof address.sun_path, "%s/" PD_ADMIN_SOCKET, data);
	int errnum;

	*admin = (struct pd_admin){ .os = os, .data = data, .descriptor = -1 };
	pd_buffer_init(&admin->reply, REPLY_MAX);
	if (size < 0 || (size_t)size >= sizeof address.sun_path)
		return pd_error_set(err, PD_TOO_LARGE,
				    "the path %s is too long for a socket in it (%zu bytes in all): name the "
				    "directory by a shorter path, such as a relative one or a symbolic link",
				    data, sizeof address.sun_path - 1);
	admin->descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (admin->descriptor < 0)
		return pd_error_system(err, errno, "cannot make a socket");
	if (setsockopt(admin->descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
	    setsockopt(admin->descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0 &&
	    connect(admin->descriptor, (const struct sockaddr *)&address, sizeof address) == 0)
		return 0;
	errnum = errno;
	pd_admin_close(admin);
	return nobody(admin, errnum, err);
}

void pd_admin_close(struct pd_admin *admin)
{
	if (admin->descriptor >= 0)
		(void)close(admin->descriptor);
	admin->descriptor = -1;
	pd_buffer_done(&admin->reply);
}

/* ---- one command ---- */

static int send_words(struct pd_admin *admin, const char *const *words, struct pd_error *err)
{
	struct pd_buffer request;
	size_t count = 0, sent = 0;
	int result;

	while (words[count] != NULL)
		count++;
	pd_buffer_init(&request, WORDS_MAX);
	result = pd_buffer_printf(&request, "*%zu\r\n", count);
	for (size_t i = 0; i < count && result == 0; i++)
		result = pd_buffer_printf(&request, "$%zu\r\n%s\r\n", strlen(words[i]), words[i]);
	if (result != 0)
		(void)pd_error_set(err, result, "a command of more than %d bytes", WORDS_MAX);
	while (result == 0 && sent < request.size) {
		ssize_t gone = send(admin->descriptor, request.data + sent, request.size - sent,
				    MSG_NOSIGNAL);

		if (gone >= 0)
			sent += (size_t)gone;
		else if (errno != EINTR)
			result = pd_error_set(err, PD_IO, "the server of %s has ended", admin->data);
	}
	pd_buffer_done(&request);
	return result;
}

/* The bytes of the one reply that comes. */
static int receive(struct pd_admin *admin, struct pd_error *err)
{
	struct pd_buffer *reply = &admin->reply;

	pd_buffer_clear(reply);
	for (;;) {
		size_t size = pd_resp_reply_size(reply->data, reply->size);
		ssize_t got;

		if (size == (size_t)-1)
			return pd_error_set(err, PD_IO, "the server of %s sent what is no reply",
					    admin->data);
		if (size > 0)
			return 0;
		if (pd_buffer_reserve(reply, READ_BYTES) != 0)
			return pd_error_set(err, PD_NO_MEMORY, "out of memory for the server's reply");
		got = recv(admin->descriptor, reply->data + reply->size, READ_BYTES, 0);
		if (got > 0)
			reply->size += (size_t)got;
		else if (got == 0)
			return pd_error_set(err, PD_IO, "the server of %s has ended", admin->data);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return pd_error_set(err, PD_IO, "the server of %s has said nothing for %d s",
					    admin->data, REPLY_TIMEOUT_S);
		else if (errno != EINTR)
			return pd_error_system(err, errno, "lost the server of %s", admin->data);
	}
}

/* "BUSY another …": the code, and the words without it where it says as much. */
static int error_of(struct pd_slice text, struct pd_error *err)
{
	static const char busy[] = "BUSY ", plain[] = "ERR ";
	int code = PD_INVALID;
	size_t skip = 0;

	if (text.size > sizeof busy - 1 && memcmp(text.data, busy, sizeof busy - 1) == 0) {
		code = PD_BUSY;
		skip = sizeof busy - 1;
	} else if (text.size > sizeof plain - 1 && memcmp(text.data, plain, sizeof plain - 1) == 0) {
		skip = sizeof plain - 1;
	}
	return pd_error_set(err, code, "%.*s", (int)(text.size - skip), (const char *)text.data + skip);
}

int pd_admin_ask(struct pd_admin *admin, const char *const *words, struct pd_slice *ret_reply,
		 struct pd_error *err)
{
	int result = send_words(admin, words, err);
	struct pd_slice rest;
	struct pd_reply reply;

	if (result == 0)
		result = receive(admin, err);
	if (result != 0)
		return result;
	rest = pd_buffer_slice(&admin->reply);
	reply = pd_reply_read(&rest);
	if (reply.kind == PD_REPLY_ERROR)
		return error_of(reply.text, err);
	*ret_reply = pd_buffer_slice(&admin->reply);
	return 0;
}

int pd_admin_begin(struct pd_admin *admin, const struct pd_options *options, const char *data,
		   const char *const *words, struct pd_slice *ret_reply)
{
	struct pd_error err = { 0 };
	struct pd_os *os;
	int result;

	*admin = (struct pd_admin){ .descriptor = -1 };
	result = pd_os_real_new(&os, &err);
	if (result == 0)
		result = pd_admin_open(admin, os, data, &err);
	if (result == 0)
		result = pd_admin_ask(admin, words, ret_reply, &err);
	if (result == 0)
		return PD_EXIT_OK;
	(void)fprintf(stderr, "%s: %s\n", options->command, err.text);
	return PD_EXIT_FAILURE;
}

void pd_admin_end(struct pd_admin *admin)
{
	pd_admin_close(admin);
	if (admin->os != NULL)
		pd_os_free(admin->os);
}

/* ---- reading a map ---- */

uint64_t pd_admin_number(struct pd_slice map, const char *name)
{
	struct pd_slice value;
	struct pd_reply reply;

	if (!pd_reply_field(map, name, &value))
		return 0;
	reply = pd_reply_read(&value);
	return reply.kind == PD_REPLY_INTEGER && reply.integer > 0 ? (uint64_t)reply.integer : 0;
}

struct pd_slice pd_admin_text(struct pd_slice map, const char *name)
{
	struct pd_slice value;
	struct pd_reply reply;

	if (!pd_reply_field(map, name, &value))
		return pd_slice(NULL, 0);
	reply = pd_reply_read(&value);
	return reply.kind == PD_REPLY_TEXT ? reply.text : pd_slice(NULL, 0);
}
