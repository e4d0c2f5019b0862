#include "cli/editor.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <wchar.h>

#include "base/memory.h"
#include "cli/history.h"
#include "cli/words.h"

#define PROMPT_SIZE     512
#define CANDIDATES_MAX  512
#define CANDIDATE_SIZE  40
#define COLUMNS_DEFAULT 80
#define REPLACEMENT     L'\xfffd'

struct pd_editor {
	struct pd_editor_options options;
	EditLine *line;
	History *history;
	char prompt[PROMPT_SIZE];
	struct pd_words words; /* of the line so far, for hints and completion */
	struct pd_buffer hint; /* that stands behind the cursor */
	int outcome;           /* why reading a character has ended the line */
	char candidates[CANDIDATES_MAX][CANDIDATE_SIZE];
	size_t candidate_count;
};

static struct pd_editor *editor_of(EditLine *line)
{
	struct pd_editor *editor = NULL;

	(void)el_get(line, EL_CLIENTDATA, &editor);
	return editor;
}

static char *give_prompt(EditLine *line)
{
	return editor_of(line)->prompt;
}

/* ---- the hint ---- */

static size_t terminal_columns(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
									       : COLUMNS_DEFAULT;
}

/* How many columns the text takes. */
static size_t width_of(const char *text, size_t size)
{
	mbstate_t state = { 0 };
	size_t width = 0;

	while (size > 0) {
		wchar_t character;
		size_t got = mbrtowc(&character, text, size, &state);
		int columns;

		if (got == 0 || got > size) {
			text++;
			size--;
			width++;
			memset(&state, 0, sizeof state);
			continue;
		}
		columns = wcwidth(character);
		width += columns > 0 ? (size_t)columns : 0;
		text += got;
		size -= got;
	}
	return width;
}

static void make_hint(struct pd_editor *editor, const LineInfo *info)
{
	size_t size = (size_t)(info->lastchar - info->buffer);
	bool blank = size > 0 && info->lastchar[-1] == ' ';

	pd_buffer_clear(&editor->hint);
	if (size == 0 || info->cursor != info->lastchar ||
	    pd_words_split(&editor->words, pd_slice(info->buffer, size), NULL) != 0)
		return;
	if (!blank && pd_buffer_append(&editor->hint, " ", 1) != 0)
		return;
	/* Without memory there is no hint. */
	if (pd_command_book_hint(editor->options.book, &editor->words, &editor->hint) != 0 ||
	    editor->hint.size <= 1)
		pd_buffer_clear(&editor->hint);
}

/* Behind the cursor, as far as the row goes, and the cursor goes back: the editor itself knows nothing of it. */
static bool show_hint(struct pd_editor *editor)
{
	const LineInfo *info = el_line(editor->line);
	size_t columns = terminal_columns(), at, size;

	if (!editor->options.colour)
		return false; /* it could not be told from what was typed */
	make_hint(editor, info);
	if (editor->hint.size == 0)
		return false;
	at = (width_of(editor->prompt, strlen(editor->prompt)) +
	      width_of(info->buffer, (size_t)(info->lastchar - info->buffer))) %
	     columns;
	size = editor->hint.size < columns - at ? editor->hint.size : columns - at - 1;
	if (size == 0)
		return false;
	(void)printf("\033[2m%.*s\033[0m\033[%zuD", (int)size, (const char *)editor->hint.data, size);
	(void)fflush(stdout);
	return true;
}

/* ---- characters ---- */

/* Wait for a key. PD_CANCELLED, PD_END: for something else. */
static int await_key(struct pd_editor *editor)
{
	struct pollfd polled[3] = { { .fd = STDIN_FILENO, .events = POLLIN },
				    { .fd = editor->options.interrupt, .events = POLLIN },
				    { .fd = editor->options.signals, .events = POLLIN } };
	struct signalfd_siginfo signal;

	for (;;) {
		if (poll(polled, 3, -1) < 0) {
			if (errno == EINTR)
				continue;
			return PD_END;
		}
		if (polled[1].revents != 0)
			return PD_CANCELLED;
		if (polled[2].revents != 0) {
			if (read(editor->options.signals, &signal, sizeof signal) != (ssize_t)sizeof signal ||
			    signal.ssi_signo != SIGWINCH)
				return PD_END;
			el_resize(editor->line);
			continue;
		}
		return 0;
	}
}

static bool key_is_waiting(void)
{
	struct pollfd polled = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&polled, 1, 0) > 0;
}

/* The rest of a character of UTF-8 that begins with `first`. */
static wchar_t finish_character(uint8_t first)
{
	unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc2 ? 1 : 0;
	uint32_t code = first & (0x3fu >> more);

	if (first < 0x80)
		return (wchar_t)first;
	if (more == 0 || first > 0xf4)
		return REPLACEMENT;
	for (; more > 0; more--) {
		uint8_t byte;

		if (read(STDIN_FILENO, &byte, 1) != 1 || (byte & 0xc0) != 0x80)
			return REPLACEMENT;
		code = code << 6 | (byte & 0x3f);
	}
	return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? (wchar_t)code : REPLACEMENT;
}

/* libedit's next character: 1, 0 at the end, -1 to give the line up. */
static int read_character(EditLine *line, wchar_t *ret_character)
{
	struct pd_editor *editor = editor_of(line);
	/* What is pasted is not interrupted by hints. */
	bool hinted = !key_is_waiting() && show_hint(editor);
	uint8_t byte;
	ssize_t got;

	editor->outcome = await_key(editor);
	if (hinted)
		(void)fputs("\033[K", stdout);
	if (editor->outcome != 0) {
		errno = EINTR;
		return -1;
	}
	do
		got = read(STDIN_FILENO, &byte, 1);
	while (got < 0 && errno == EINTR);
	/* A Ctrl-D that was typed while the last command ran is a NUL by now. */
	if (got == 1 && byte == 0 && el_line(line)->lastchar == el_line(line)->buffer)
		return 0;
	if (got != 1)
		return got == 0 ? 0 : -1;
	*ret_character = finish_character(byte);
	return 1;
}

/* ---- completion ---- */

static void take_candidate(void *context, struct pd_slice word)
{
	struct pd_editor *editor = context;
	char text[CANDIDATE_SIZE];

	(void)snprintf(text, sizeof text, "%.*s",
		       (int)(word.size < CANDIDATE_SIZE ? word.size : CANDIDATE_SIZE - 1),
		       (const char *)word.data);
	for (size_t i = 0; i < editor->candidate_count; i++)
		if (strcmp(editor->candidates[i], text) == 0)
			return;
	if (editor->candidate_count < CANDIDATES_MAX)
		memcpy(editor->candidates[editor->candidate_count++], text, sizeof text);
}

/* How many bytes all candidates begin with, in any case. */
static size_t same_beginning(const struct pd_editor *editor)
{
	const char *first = editor->candidates[0];
	size_t size = strlen(first);

	for (size_t i = 1; i < editor->candidate_count; i++)
		while (strncasecmp(first, editor->candidates[i], size) != 0)
			size--;
	return size;
}

static void list_candidates(const struct pd_editor *editor)
{
	size_t columns = terminal_columns(), width = 0, each;

	for (size_t i = 0; i < editor->candidate_count; i++)
		width = strlen(editor->candidates[i]) > width ? strlen(editor->candidates[i]) : width;
	each = columns / (width + 2) > 0 ? columns / (width + 2) : 1;
	for (size_t i = 0; i < editor->candidate_count; i++)
		(void)printf("%s%-*s", i % each == 0 ? "\n" : "", (int)width + 2, editor->candidates[i]);
	(void)fputc('\n', stdout);
	(void)fflush(stdout);
}

/* Put `text` in the place of the `typed` bytes before the cursor; in small letters if these are. */
static void replace(EditLine *line, const char *typed, size_t typed_size, const char *text, size_t size,
		    bool end)
{
	char word[CANDIDATE_SIZE + 1];
	bool small = typed_size > 0 && typed[0] >= 'a' && typed[0] <= 'z';

	for (size_t i = 0; i < size; i++)
		word[i] = small && text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + ('a' - 'A')) : text[i];
	if (end)
		word[size++] = ' ';
	word[size] = '\0';
	el_deletestr(line, (int)typed_size);
	(void)el_insertstr(line, word);
}

static unsigned char complete(EditLine *line, int key)
{
	struct pd_editor *editor = editor_of(line);
	const LineInfo *info = el_line(line);
	const char *began = info->cursor;
	size_t size, same;

	(void)key;
	while (began > info->buffer && began[-1] != ' ')
		began--;
	size = (size_t)(info->cursor - began);
	editor->candidate_count = 0;
	if (size >= CANDIDATE_SIZE ||
	    pd_words_split(&editor->words, pd_slice(info->buffer, (size_t)(began - info->buffer)), NULL) != 0)
		return CC_ERROR;
	pd_command_book_complete(editor->options.book, &editor->words, pd_slice(began, size), take_candidate,
				 editor);
	if (editor->candidate_count == 0)
		return CC_ERROR;
	same = same_beginning(editor);
	if (same > size || editor->candidate_count == 1) {
		char typed[CANDIDATE_SIZE];

		memcpy(typed, began, size);
		replace(line, typed, size, editor->candidates[0], same, editor->candidate_count == 1);
		return CC_REFRESH;
	}
	list_candidates(editor);
	return CC_REDISPLAY;
}

/* ---- history ---- */

static void take_history(void *context, struct pd_slice line)
{
	struct pd_editor *editor = context;
	char *text = pd_asprintf("%.*s", (int)line.size, (const char *)line.data);
	HistEvent event;

	/* Without memory it is a history with a gap. */
	if (text != NULL)
		(void)history(editor->history, &event, H_ENTER, text);
	pd_free(text);
}

void pd_editor_remember(struct pd_editor *editor, struct pd_slice line)
{
	struct pd_error err = { 0 };

	take_history(editor, line);
	if (editor->options.history == NULL)
		return;
	if (pd_history_add(editor->options.os, editor->options.history, line, &err) != 0) {
		(void)fprintf(stderr, "the history is not kept: %s; PERDURE_HISTORY names another file\n",
			      err.text);
		editor->options.history = NULL;
	}
}

static void load_history(struct pd_editor *editor)
{
	struct pd_error err = { 0 };
	HistEvent event;

	(void)history(editor->history, &event, H_SETSIZE, PD_HISTORY_LINES);
	(void)history(editor->history, &event, H_SETUNIQUE, 1);
	if (editor->options.history != NULL &&
	    pd_history_load(editor->options.os, editor->options.history, take_history, editor, &err) != 0) {
		(void)fprintf(stderr, "the history cannot be read: %s; PERDURE_HISTORY names another file\n",
			      err.text);
		editor->options.history = NULL;
	}
}

/* ---- life ---- */

static void set_up(struct pd_editor *editor)
{
	EditLine *line = editor->line;

	(void)el_set(line, EL_CLIENTDATA, editor);
	(void)el_set(line, EL_EDITOR, "emacs");
	(void)el_set(line, EL_PROMPT, give_prompt);
	(void)el_set(line, EL_SIGNAL, 0);
	/* At Ctrl-C the terminal would throw away what was typed ahead, and with it what is printed just then, the next
	 * prompt perhaps. */
	(void)el_set(line, EL_SETTY, "-d", "+noflsh", NULL);
	(void)el_set(line, EL_SETTY, "-x", "+noflsh", NULL);
	(void)el_set(line, EL_HIST, history, editor->history);
	(void)el_set(line, EL_GETCFN, read_character);
	/* The narrow el_set() would copy the names, and never free them. */
	(void)el_wset(line, EL_ADDFN, L"pd-complete", L"complete a command", complete);
	(void)el_set(line, EL_BIND, "^I", "pd-complete", NULL);
	(void)el_set(line, EL_BIND, "^R", "em-inc-search-prev", NULL);
	(void)el_set(line, EL_BIND, "^W", "ed-delete-prev-word", NULL);
	/* The user's own keys, from ~/.editrc. */
	(void)el_source(line, NULL);
}

int pd_editor_new(const struct pd_editor_options *options, struct pd_editor **ret_editor,
		  struct pd_error *err)
{
	struct pd_editor *editor = pd_calloc(1, sizeof *editor);

	if (editor == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for the line editor");
	editor->options = *options;
	pd_words_init(&editor->words);
	pd_buffer_init(&editor->hint, 4096);
	editor->history = history_init();
	editor->line = el_init("perdure", stdin, stdout, stderr);
	if (editor->history == NULL || editor->line == NULL) {
		pd_editor_free(editor);
		return pd_error_set(err, PD_IO, "this terminal cannot be used for editing (TERM is %s)",
				    getenv("TERM") != NULL ? getenv("TERM") : "not set");
	}
	set_up(editor);
	load_history(editor);
	*ret_editor = editor;
	return 0;
}

void pd_editor_free(struct pd_editor *editor)
{
	if (editor == NULL)
		return;
	if (editor->line != NULL)
		el_end(editor->line);
	if (editor->history != NULL)
		history_end(editor->history);
	pd_words_done(&editor->words);
	pd_buffer_done(&editor->hint);
	pd_free(editor);
}

int pd_editor_read(struct pd_editor *editor, const char *prompt, struct pd_slice *ret_line)
{
	const char *text;
	int size = 0;

	(void)snprintf(editor->prompt, sizeof editor->prompt, "%s", prompt);
	editor->outcome = 0;
	text = el_gets(editor->line, &size);
	if (editor->outcome != 0)
		return editor->outcome;
	if (text == NULL || size <= 0)
		return PD_END;
	while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
		size--;
	*ret_line = pd_slice(text, (size_t)size);
	return 0;
}
