#include "cli/password.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "crypto/digest.h"

/* Up to the end of the line; *ret_got bytes, and a NUL. false: nothing came, or more than fits. */
static bool read_line(int descriptor, char *text, size_t size, size_t *ret_got)
{
	size_t at = 0;

	while (at + 1 < size) {
		ssize_t got = read(descriptor, text + at, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 || text[at] == '\n') {
			text[at] = '\0';
			*ret_got = at;
			return at > 0 || got > 0;
		}
		at++;
	}
	return false;
}

/* A question on the terminal, and an answer that is not shown. */
static bool ask(const char *question, char *text, size_t size)
{
	struct termios before, silent;
	size_t got;
	bool read;

	if (tcgetattr(STDIN_FILENO, &before) != 0)
		return false;
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	/* Before it is asked for: nothing of the answer may show, and nothing be thrown away. */
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) != 0)
		return false;
	(void)fprintf(stderr, "%s", question);
	read = read_line(STDIN_FILENO, text, size, &got);
	(void)fputc('\n', stderr);
	return tcsetattr(STDIN_FILENO, TCSAFLUSH, &before) == 0 && read;
}

int pd_password_ask(const char *question, char *password, size_t size, struct pd_error *err)
{
	if (isatty(STDIN_FILENO) != 1)
		return pd_error_set(
			err, PD_NOT_FOUND,
			"a password is needed, and there is no terminal to ask for it: put it into "
			"PERDURE_PASSWORD");
	if (!ask(question, password, size))
		return pd_error_set(err, PD_INVALID, "no password was given");
	return 0;
}

static int ask_twice(char *password, size_t size, struct pd_error *err)
{
	char again[2048];
	int result = 0;

	if (!ask("Password: ", password, size) ||
	    !ask("The same again: ", again, sizeof again < size ? sizeof again : size))
		result = pd_error_set(err, PD_INVALID, "no password was given");
	else if (strcmp(password, again) != 0)
		result = pd_error_set(err, PD_INVALID, "the two passwords differ");
	pd_crypto_wipe(again, sizeof again);
	return result;
}

/* The first line of what was got. For C a NUL would end it, and leave less of a password than its owner believes. */
static int take_first_line(char *password, size_t got, struct pd_error *err)
{
	const char *end = memchr(password, '\n', got);
	size_t size = end != NULL ? (size_t)(end - password) : got;

	size -= size > 0 && password[size - 1] == '\r';
	if (memchr(password, '\0', size) != NULL)
		return pd_error_set(err, PD_INVALID, "there is a NUL byte in the password: take one of text");
	password[size] = '\0';
	return 0;
}

static int from_file(struct pd_os *os, const char *path, char *password, size_t size, struct pd_error *err)
{
	struct pd_os_file_info info;
	struct pd_os_file *file;
	size_t got = 0;
	int result = pd_os_info(os, path, &info, err);

	if (result != 0)
		return result;
	if ((info.mode & 07) != 0)
		return pd_error_set(
			err, PD_INVALID,
			"everybody on this machine can read or change %s (mode %03o): chmod o-rwx it, and "
			"take another password",
			path, info.mode & 0777);
	result = pd_os_open(os, path, PD_OS_READ, &file, err);
	if (result != 0)
		return result;
	result = pd_os_read(file, password, size - 1, 0, &got, err);
	pd_os_close(file);
	if (result != 0)
		return result;
	return take_first_line(password, got, err);
}

int pd_password_read(struct pd_os *os, const char *file, char *password, size_t size, struct pd_error *err)
{
	size_t got;

	if (file != NULL)
		return from_file(os, file, password, size, err);
	if (isatty(STDIN_FILENO) == 1)
		return ask_twice(password, size, err);
	if (!read_line(STDIN_FILENO, password, size, &got))
		return pd_error_set(err, PD_INVALID,
				    "no password on standard input; give it there or with --password-file");
	return take_first_line(password, got, err);
}
