/* One command of the shell: connecting, asking, showing what comes, and keeping track of what it means. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/shell_private.h"
#include "wire/resp.h"

/* ---- interrupts ---- */

void pd_shell_clear_interrupt(const struct pd_shell *shell)
{
	struct pollfd polled = { .fd = shell->link.interrupt, .events = POLLIN };
	struct signalfd_siginfo signal;

	while (shell->link.interrupt >= 0 && poll(&polled, 1, 0) > 0)
		if (read(shell->link.interrupt, &signal, sizeof signal) != (ssize_t)sizeof signal)
			break;
}

bool pd_shell_pause(const struct pd_shell *shell, uint64_t ms)
{
	struct pollfd polled = { .fd = shell->link.interrupt, .events = POLLIN };

	if (shell->link.interrupt < 0) {
		pd_os_sleep_us(shell->os, ms * 1000);
		return false;
	}
	return poll(&polled, 1, ms < INT32_MAX ? (int)ms : INT32_MAX) > 0;
}

/* ---- connecting ---- */

static int use_actor(struct pd_shell *shell, struct pd_error *err)
{
	const char *words[] = { "PD.USE", shell->actor, NULL };
	struct pd_slice reply;
	struct pd_error why = { 0 };
	int result;

	if (shell->actor[0] == '\0')
		return 0;
	result = pd_target_ask(&shell->link, words, &reply, &why);
	if (result == 0)
		return 0;
	(void)pd_error_set(err, result, "cannot use actor \"%.100s\": %s", shell->actor, why.text);
	/* Going on as somebody else would write to the wrong actor. */
	pd_link_close(&shell->link);
	return result;
}

int pd_shell_connect(struct pd_shell *shell, struct pd_error *err)
{
	bool again = shell->link.descriptor >= 0 || shell->link.name[0] != '\0';
	int result;

	if (!pd_link_is_lost(&shell->link))
		return 0;
	if (shell->in_transaction) {
		shell->in_transaction = false;
		pd_link_close(&shell->link);
		return pd_error_set(
			err, PD_CONFLICT,
			"the connection was lost, and the open transaction with it: nothing of it was "
			"done; begin again with MULTI");
	}
	result = pd_target_connect(&shell->target, shell->os, &shell->link, err);
	if (result == 0)
		result = use_actor(shell, err);
	if (result == 0 && again && shell->interactive)
		(void)fprintf(stderr, "connected to %s again\n", shell->link.name);
	return result;
}

/* ---- what a reply means for the connection ---- */

static bool is_ok(struct pd_slice reply)
{
	struct pd_reply first = pd_reply_read(&reply);

	return first.kind == PD_REPLY_TEXT && first.mark == '+';
}

static void note_use(struct pd_shell *shell, const struct pd_words *words)
{
	shell->actor[0] = '\0';
	if (words->count > 1)
		(void)snprintf(shell->actor, sizeof shell->actor, "%.*s", (int)words->items[1].size,
			       (const char *)words->items[1].data);
}

/* Greeted as nobody, it may now speak protocol 3. */
static void note_auth(struct pd_shell *shell)
{
	static const char *const words[] = { "HELLO", "3", NULL };
	struct pd_slice reply;

	if (shell->target.protocol == 2 && pd_target_ask(&shell->link, words, &reply, NULL) == 0)
		shell->target.protocol = 3;
}

static void note_state(struct pd_shell *shell, const struct pd_words *words, struct pd_slice reply)
{
	bool ok = is_ok(reply);

	if (shell->in_transaction && pd_slice_equal(reply, pd_slice_string("+QUEUED\r\n")))
		shell->queued++;
	if (pd_words_are(words, 0, "multi") && ok) {
		shell->in_transaction = true;
		shell->queued = 0;
	} else if (pd_words_are(words, 0, "exec") || (pd_words_are(words, 0, "discard") && ok)) {
		shell->in_transaction = false;
	} else if (pd_words_are(words, 0, "pd.use") && ok && !shell->in_transaction) {
		note_use(shell, words);
	} else if (pd_words_are(words, 0, "reset") && ok) {
		shell->in_transaction = false;
		shell->actor[0] = '\0';
		note_auth(shell);
	} else if (pd_words_are(words, 0, "auth") && ok) {
		note_auth(shell);
	}
}

/* ---- one command ---- */

/* Of a script's command: what it captures is never taken for a value. */
static void show_error_apart(const struct pd_shell *shell, struct pd_slice reply)
{
	struct pd_output output = { .file = stderr };

	(void)fflush(stdout);
	(void)fputs("perdure cli: ", stderr);
	if (shell->line > 0)
		(void)fprintf(stderr, "line %" PRIu64 ": ", shell->line);
	pd_output_lax(&output, pd_reply_read(&reply).text);
	(void)fputc('\n', stderr);
}

static int show(struct pd_shell *shell, struct pd_slice reply, struct pd_error *err)
{
	if (shell->style.form == PD_REPLY_RAW && !shell->interactive && pd_reply_is_error(reply)) {
		show_error_apart(shell, reply);
		return 0;
	}
	pd_reply_print(&shell->output, reply, &shell->style);
	if (!pd_output_finish(&shell->output))
		return pd_error_set(err, PD_NO_SPACE, "the command was carried out, and its answer is lost");
	return 0;
}

static bool is_push(struct pd_slice reply)
{
	return pd_reply_read(&reply).mark == '>';
}

/* Does what comes after this command never end? */
static bool begins_stream(const struct pd_words *words)
{
	return pd_words_are(words, 0, "subscribe") || pd_words_are(words, 0, "psubscribe") ||
	       pd_words_are(words, 0, "ssubscribe") || pd_words_are(words, 0, "monitor");
}

/* Until somebody interrupts, which is no error: the stream is left by a new connection. */
static int stream(struct pd_shell *shell, struct pd_error *err)
{
	struct pd_slice reply;
	int result;

	if (shell->interactive)
		(void)fprintf(stderr, "showing what comes; Ctrl-C ends it\n");
	do {
		result = pd_link_receive(&shell->link, 0, &reply, err);
		if (result == 0)
			result = show(shell, reply, err);
	} while (result == 0);
	if (result != PD_CANCELLED)
		return result;
	pd_shell_clear_interrupt(shell);
	(void)fputc('\n', stderr);
	pd_link_close(&shell->link);
	return 0;
}

/* Something went wrong between asking and the answer. */
static int outcome_unknown(struct pd_shell *shell, int result, const struct pd_error *why,
			   struct pd_error *err)
{
	pd_link_close(&shell->link);
	if (shell->in_transaction) {
		shell->in_transaction = false;
		return pd_error_set(
			err, result,
			"%s; the transaction is gone with the connection, and whether an EXEC was carried "
			"out is not known",
			why->text);
	}
	return pd_error_set(err, result, "%s; whether the command was carried out is not known", why->text);
}

static int ask(struct pd_shell *shell, const struct pd_words *words, struct pd_slice *ret_reply,
	       struct pd_error *err)
{
	struct pd_error why = { 0 };
	int result = pd_link_send(&shell->link, words->items, words->count, &why);

	if (result == PD_NO_MEMORY || result == PD_TOO_LARGE)
		return pd_error_set(err, result, "%s", why.text);
	/* Pushes that stood before the answer are shown as they come; those of a stream are answers. */
	while (result == 0) {
		result = pd_link_receive(&shell->link, 0, ret_reply, &why);
		if (result != 0 || !is_push(*ret_reply) || begins_stream(words) ||
		    pd_words_are(words, 0, "unsubscribe") || pd_words_are(words, 0, "punsubscribe"))
			break;
		result = show(shell, *ret_reply, &why);
	}
	if (result == 0)
		return 0;
	if (result == PD_IO && pd_words_are(words, 0, "shutdown")) {
		pd_link_close(&shell->link);
		return PD_END;
	}
	return outcome_unknown(shell, result, &why, err);
}

static int name_size(const struct pd_words *words)
{
	return (int)(words->items[0].size < 64 ? words->items[0].size : 64);
}

/* What to do where the server's own words do not say it. */
static void advise(const struct pd_shell *shell, const struct pd_words *words, struct pd_slice reply)
{
	struct pd_slice text = pd_reply_read(&reply).text;
	bool unknown = pd_slice_starts_with(text, pd_slice_string("ERR unknown command"));

	(void)fflush(stdout);
	/* Of a script's many lines each says enough. */
	if (shell->line == 0 &&
	    (unknown || pd_slice_starts_with(text, pd_slice_string("ERR wrong number of arguments"))))
		(void)fprintf(
			stderr, "%shelp %.*s' %s\n", shell->interactive ? "'" : "perdure cli: 'perdure cli ",
			unknown ? 1 : name_size(words), unknown ? "@" : (const char *)words->items[0].data,
			unknown ? "lists the groups of commands" : "tells how it is written");
	if (!pd_slice_starts_with(text, pd_slice_string("NOAUTH")))
		return;
	(void)fprintf(stderr, "%slog in: %s\n", shell->interactive ? "" : "perdure cli: ",
		      shell->interactive
			      ? "AUTH NAME PASSWORD (it stays out of the history), or start with --user NAME"
			      : "--user NAME, and the password in PERDURE_PASSWORD");
}

int pd_shell_run(struct pd_shell *shell, const struct pd_words *words, bool *ret_refused,
		 struct pd_error *err)
{
	uint64_t began_ns;
	struct pd_slice reply;
	int result = pd_shell_connect(shell, err);

	*ret_refused = false;
	if (result != 0)
		return result;
	began_ns = pd_os_monotonic_ns(shell->os);
	result = ask(shell, words, &reply, err);
	if (result == PD_END) {
		(void)fprintf(stderr, "the server has ended\n");
		return 0;
	}
	if (result != 0)
		return result;
	*ret_refused = pd_reply_is_error(reply);
	result = show(shell, reply, err);
	if (shell->timing)
		(void)fprintf(stderr, "%.3f ms\n", (double)(pd_os_monotonic_ns(shell->os) - began_ns) / 1e6);
	if (*ret_refused)
		advise(shell, words, reply);
	/* The last: it may ask something itself, and the reply is gone then. */
	note_state(shell, words, reply);
	if (result == 0 && !*ret_refused && begins_stream(words) && !shell->in_transaction)
		result = stream(shell, err);
	return result;
}
