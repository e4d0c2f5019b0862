/* What the server has to say, as lines on standard error: for people, for programs, for the journal.
 *
 *   text, on a terminal   state: up to LSN 17; replayed …
 *   text, in a file       2026-11-20T15:04:05.123Z state: up to LSN 17; replayed …
 *   text, in the journal  <4>log: warning: the log is damaged in …
 *   json                  {"time":"2026-11-20T15:04:05.123456Z","level":"info","room":"state","message":"up to LSN …"}
 *
 * Whatever is in a message, it stays on its line: controls and what is no UTF-8 are escaped. Of messages that are made at
 * one place, so many are said in a while, and then how many were not. Rooms below never log: they return what they found,
 * and the server says it.
 *
 * Thread: the loop's. */
#ifndef PD_SERVER_MESSAGE_H
#define PD_SERVER_MESSAGE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "os/service.h"

struct pd_os;

enum pd_message_level {
	PD_MESSAGE_ERROR,
	PD_MESSAGE_WARNING,
	PD_MESSAGE_INFO,
	PD_MESSAGE_DEBUG,
};
#define PD_MESSAGE_LEVEL_COUNT 4
extern const char *const pd_message_level_names[PD_MESSAGE_LEVEL_COUNT + 1]; /* ended by NULL */

enum pd_message_format {
	PD_MESSAGE_TEXT,
	PD_MESSAGE_JSON,
};
#define PD_MESSAGE_FORMAT_COUNT 2
extern const char *const pd_message_format_names[PD_MESSAGE_FORMAT_COUNT + 1]; /* ended by NULL */

#define PD_MESSAGE_BURST   30u          /* of one place … */
#define PD_MESSAGE_WHILE_S 10u          /* … in so many seconds */
#define PD_MESSAGE_SITES   64u          /* places that are told apart; more share */
#define PD_MESSAGE_SIZE    2048u        /* of a text; a longer one is cut */
#define PD_MESSAGE_LINE    (12u * 2048) /* of a line: every byte of the text escaped */

struct pd_message_site {
	const char *format; /* which place: its format is its name. NULL: free */
	const char *room;
	enum pd_message_level level;
	uint64_t since_us; /* monotonic: of the while that runs */
	unsigned said;
	uint64_t suppressed;
};

struct pd_messages {
	struct pd_os *os; /* NULL: no clock yet, so no time and no limits */
	enum pd_message_format format;
	enum pd_message_level level; /* the least urgent that is said */
	enum pd_os_stream stream;
	struct pd_message_site sites[PD_MESSAGE_SITES];
	uint64_t suppressed; /* in all */
	/* For tests: where lines go instead of standard error. */
	void (*write)(void *context, const void *line, size_t size);
	void *context;
};

void pd_messages_init(struct pd_messages *messages, struct pd_os *os, enum pd_message_format format,
		      enum pd_message_level level);
/* Say something of a room ("log", "state", "server" …). The format is a literal: it names the place. */
void pd_message(struct pd_messages *messages, enum pd_message_level level, const char *room,
		const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same about one connection. */
void pd_message_about(struct pd_messages *messages, enum pd_message_level level, const char *room,
		      uint64_t connection, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Once a second: say what was not said. */
void pd_messages_tick(struct pd_messages *messages);

#endif
