/* Reading a line at a terminal: editing, history, completion, and a hint of what may follow. Only here libedit. */
#ifndef PD_CLI_EDITOR_H
#define PD_CLI_EDITOR_H

#include "base/error.h"
#include "base/slice.h"
#include "cli/command_book.h"
#include "os/os.h"

struct pd_editor;

struct pd_editor_options {
	struct pd_os *os;
	const struct pd_command_book *book; /* borrowed; may change between lines */
	const char *history;                /* path of the file that remembers; NULL: none */
	int interrupt;                      /* readable at Ctrl-C */
	int signals; /* of a signalfd: SIGWINCH is dealt with, any other ends the line */
	bool colour;
};

/* PD_NO_MEMORY; PD_IO: the terminal cannot be used. */
PD_MUST_CHECK int pd_editor_new(const struct pd_editor_options *options, struct pd_editor **ret_editor,
				struct pd_error *err);
void pd_editor_free(struct pd_editor *editor);

/* One line, without its end; valid until the next call. PD_CANCELLED: Ctrl-C; PD_END: Ctrl-D, or told to end. */
PD_MUST_CHECK int pd_editor_read(struct pd_editor *editor, const char *prompt, struct pd_slice *ret_line);
/* Remember a line, in memory and in the file. */
void pd_editor_remember(struct pd_editor *editor, struct pd_slice line);

#endif
