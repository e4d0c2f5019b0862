/* The shell at a terminal: prompt, lines, and the commands of its own. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/editor.h"
#include "cli/history.h"
#include "cli/options.h"
#include "cli/shell_private.h"
#include "server/server.h"

#define PROMPT_SIZE    512
#define WATCH_MS       2000u
#define REPEAT_MAX     1000000
#define LINE_SIZE_KEPT (64u * 1024)

struct interaction {
	struct pd_shell *shell;
	struct pd_editor *editor;
	struct pd_command_book book;
	struct pd_words words;
	struct pd_words last; /* what \watch repeats */
	int signals;          /* signalfd of what ends or resizes */
	bool leaving;
};

/* ---- the prompt ---- */

/* Without what a terminal would obey. */
static void append_plain(char prompt[PROMPT_SIZE], const char *text)
{
	size_t at = strlen(prompt);

	for (; *text != '\0' && at + 1 < PROMPT_SIZE; text++)
		prompt[at++] = (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text;
	prompt[at] = '\0';
}

static void make_prompt(const struct pd_shell *shell, char prompt[PROMPT_SIZE])
{
	char queued[48];

	prompt[0] = '\0';
	append_plain(prompt, shell->link.descriptor >= 0 ? shell->link.name : "not connected");
	if (shell->actor[0] != '\0') {
		append_plain(prompt, " ");
		append_plain(prompt, shell->actor);
	}
	if (shell->in_transaction) {
		(void)snprintf(queued, sizeof queued, " (MULTI, %llu queued)",
			       (unsigned long long)shell->queued);
		append_plain(prompt, queued);
	}
	append_plain(prompt, "> ");
}

/* ---- running ---- */

static void say(const struct pd_error *err)
{
	(void)fprintf(stderr, "%s\n", err->text);
}

/* Run what stands in `words` once. false: no answer came. */
static bool run_once(struct interaction *self, const struct pd_words *words)
{
	struct pd_error err = { 0 };
	bool refused;
	int result = pd_shell_run(self->shell, words, &refused, &err);

	if (result == 0)
		return true;
	pd_shell_clear_interrupt(self->shell);
	say(&err);
	return false;
}

static void watch(struct interaction *self)
{
	uint64_t ms = WATCH_MS;

	if (self->words.count > 1 && !pd_parse_interval_ms(self->words.items[1], &ms)) {
		(void)fprintf(stderr,
			      "\\watch takes seconds, such as 2 or 0.5, or a duration such as 500ms\n");
		return;
	}
	if (self->last.count == 0) {
		(void)fprintf(stderr, "\\watch repeats the last command, and there was none yet\n");
		return;
	}
	(void)fprintf(stderr, "every %.1f s; Ctrl-C ends it\n", (double)ms / 1000);
	while (run_once(self, &self->last) && !pd_shell_pause(self->shell, ms)) {
	}
	pd_shell_clear_interrupt(self->shell);
}

static void set_format(struct interaction *self)
{
	struct pd_reply_style *style = &self->shell->style;

	if (pd_words_are(&self->words, 1, "pretty"))
		style->form = PD_REPLY_PRETTY;
	else if (pd_words_are(&self->words, 1, "raw"))
		style->form = PD_REPLY_RAW;
	else if (pd_words_are(&self->words, 1, "json"))
		style->form = PD_REPLY_JSON;
	else
		(void)fprintf(stderr, "\\format takes pretty, raw or json\n");
}

/* What the shell does itself. */
static bool run_own(struct interaction *self)
{
	const struct pd_words *words = &self->words;

	if (pd_words_are(words, 0, "exit") || pd_words_are(words, 0, "quit") ||
	    pd_words_are(words, 0, "\\q")) {
		self->leaving = true;
	} else if (pd_words_are(words, 0, "help") || pd_words_are(words, 0, "?") ||
		   pd_words_are(words, 0, "\\?")) {
		(void)pd_shell_help(&self->book, words, stdout);
	} else if (pd_words_are(words, 0, "clear")) {
		(void)fputs("\033[H\033[2J", stdout);
	} else if (pd_words_are(words, 0, "\\watch")) {
		watch(self);
	} else if (pd_words_are(words, 0, "\\format")) {
		set_format(self);
	} else if (pd_words_are(words, 0, "\\timing")) {
		self->shell->timing = !self->shell->timing;
		(void)fprintf(stderr, "timing is %s\n", self->shell->timing ? "on" : "off");
	} else if (words->items[0].data[0] == '\\') {
		(void)fprintf(stderr,
			      "the shell's own are \\watch, \\format and \\timing; 'help' explains them\n");
	} else {
		return false;
	}
	return true;
}

/* Words without the first, which said how often. */
static void run_repeated(struct interaction *self, int64_t times)
{
	struct pd_words rest = self->words;

	rest.items++;
	rest.count--;
	while (times-- > 0 && run_once(self, &rest) && !pd_shell_pause(self->shell, 0)) {
	}
	pd_shell_clear_interrupt(self->shell);
}

/* Keep it for \watch. */
static void keep_last(struct interaction *self)
{
	self->last.count = 0;
	pd_buffer_clear(&self->last.bytes);
	for (size_t i = 0; i < self->words.count; i++)
		if (pd_words_add(&self->last, self->words.items[i], NULL) != 0) {
			self->last.count = 0;
			return;
		}
}

static void run_line(struct interaction *self, struct pd_slice line)
{
	struct pd_error err = { 0 };
	int64_t times;
	bool remember = line.size > 0 && line.data[0] != ' ' && line.size < LINE_SIZE_KEPT;

	if (pd_words_split(&self->words, line, &err) != 0) {
		pd_editor_remember(self->editor, line);
		say(&err);
		return;
	}
	if (self->words.count == 0)
		return;
	if (remember && !pd_words_are_secret(&self->words))
		pd_editor_remember(self->editor, line);
	if (self->words.items[0].size > 0 && run_own(self))
		return;
	if (self->words.count > 1 && pd_slice_to_int64(self->words.items[0], &times) && times > 0 &&
	    times <= REPEAT_MAX) {
		run_repeated(self, times);
		return;
	}
	keep_last(self);
	(void)run_once(self, &self->words);
}

/* ---- the loop ---- */

static int load_book(struct interaction *self)
{
	struct pd_error err = { 0 };
	int result = self->book.count == 0 && self->shell->link.descriptor >= 0 &&
				     !self->shell->in_transaction
			     ? pd_command_book_load(&self->book, &self->shell->link, &err)
			     : 0;

	if (result != 0)
		pd_link_close(&self->shell->link); /* between an answer and the next */
	return result;
}

static int loop(struct interaction *self)
{
	char prompt[PROMPT_SIZE];

	while (!self->leaving) {
		struct pd_slice line;
		int result;

		make_prompt(self->shell, prompt);
		result = pd_editor_read(self->editor, prompt, &line);
		if (result == PD_END) {
			(void)fputc('\n', stdout);
			break;
		}
		if (result == PD_CANCELLED) {
			pd_shell_clear_interrupt(self->shell);
			/* What was typed ahead; editor.c keeps the terminal from doing it. */
			(void)tcflush(STDIN_FILENO, TCIFLUSH);
			(void)fputs("^C\n", stdout);
			continue;
		}
		run_line(self, line);
		(void)load_book(self);
	}
	return PD_EXIT_OK;
}

/* Ctrl-C and the like as descriptors: whatever waits notices them, and nothing is interrupted in its midst. */
static int take_signals(int *ret_interrupt, int *ret_signals, struct pd_error *err)
{
	sigset_t interrupt, others, all;

	(void)sigemptyset(&interrupt);
	(void)sigaddset(&interrupt, SIGINT);
	(void)sigemptyset(&others);
	(void)sigaddset(&others, SIGWINCH);
	(void)sigaddset(&others, SIGTERM);
	(void)sigaddset(&others, SIGHUP);
	all = others;
	(void)sigaddset(&all, SIGINT);
	if (sigprocmask(SIG_BLOCK, &all, NULL) != 0)
		return pd_error_system(err, errno, "cannot block signals");
	*ret_interrupt = signalfd(-1, &interrupt, SFD_CLOEXEC | SFD_NONBLOCK);
	*ret_signals = signalfd(-1, &others, SFD_CLOEXEC | SFD_NONBLOCK);
	if (*ret_interrupt < 0 || *ret_signals < 0)
		return pd_error_system(err, errno, "cannot watch for signals");
	return 0;
}

/* Names and values may be of any language: where the environment speaks of none, UTF-8. */
static void choose_locale(void)
{
	if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1)
		(void)setlocale(LC_CTYPE, "C.UTF-8");
}

static void greet(const struct pd_shell *shell)
{
	if (shell->link.descriptor >= 0)
		(void)printf("connected to %s; 'help' explains, Ctrl-D leaves\n", shell->link.name);
}

int pd_shell_interact(struct pd_shell *shell)
{
	struct interaction self = { .shell = shell, .signals = -1 };
	struct pd_editor_options options = { .os = shell->os,
					     .book = &self.book,
					     .colour = shell->style.colour };
	char *history = pd_history_path();
	struct pd_error err = { 0 };
	int result = take_signals(&shell->link.interrupt, &self.signals, &err), status = PD_EXIT_FAILURE;

	pd_command_book_init(&self.book);
	pd_words_init(&self.words);
	pd_words_init(&self.last);
	choose_locale();
	shell->interactive = true;
	options.history = history;
	options.interrupt = shell->link.interrupt;
	options.signals = self.signals;
	if (result == 0)
		result = pd_editor_new(&options, &self.editor, &err);
	/* Without a server there is a shell all the same: it may come. A wrong password will not become right. */
	if (result == 0) {
		int connected = pd_shell_connect(shell, &err);

		if (connected == PD_PERMISSION)
			result = connected;
		else if (connected != 0)
			say(&err);
		pd_shell_clear_interrupt(shell);
	}
	if (result == 0) {
		(void)load_book(&self);
		greet(shell);
		status = loop(&self);
	} else {
		(void)fprintf(stderr, "perdure cli: %s\n", err.text);
	}
	pd_editor_free(self.editor);
	pd_free(history);
	pd_words_done(&self.words);
	pd_words_done(&self.last);
	pd_command_book_done(&self.book);
	if (self.signals >= 0)
		(void)close(self.signals);
	if (shell->link.interrupt >= 0)
		(void)close(shell->link.interrupt);
	shell->link.interrupt = -1;
	return status;
}
