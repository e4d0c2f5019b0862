/* The commands of the server that one talks to: what COMMAND DOCS says of them, and how they are written. For completion, hints and
 * help. */
#ifndef PD_CLI_COMMAND_BOOK_H
#define PD_CLI_COMMAND_BOOK_H

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/link.h"
#include "cli/words.h"

struct pd_command_page {
	char *name;   /* "SET", "CONFIG GET" */
	char *syntax; /* what follows the name, "key value [NX|XX]"; NULL: not known */
	char *summary, *group, *since, *complexity;
};

struct pd_command_book {
	struct pd_command_page *pages; /* sorted by name */
	size_t count, capacity;
};

void pd_command_book_init(struct pd_command_book *book);
void pd_command_book_done(struct pd_command_book *book);

/* Ask the server. One that knows no COMMAND DOCS leaves the book empty. PD_IO, PD_CANCELLED, PD_NO_MEMORY. */
PD_MUST_CHECK int pd_command_book_load(struct pd_command_book *book, struct pd_link *link,
				       struct pd_error *err);

/* The page of the command that the words begin with, and how many words its name has; NULL: there is none. */
const struct pd_command_page *pd_command_book_find(const struct pd_command_book *book,
						   const struct pd_words *words, size_t *ret_name_words);

/* What may follow the words typed so far, as a hint: "key value [NX|XX]". Appended to `hint`; nothing when nothing is known. */
PD_MUST_CHECK int pd_command_book_hint(const struct pd_command_book *book, const struct pd_words *words,
				       struct pd_buffer *hint);

/* Call `take` with each word that may stand where the last of `words` begins (`part`): names, subcommands, the options of the
 * command. Some come twice. */
void pd_command_book_complete(const struct pd_command_book *book, const struct pd_words *words,
			      struct pd_slice part, void (*take)(void *context, struct pd_slice word),
			      void *context);

#endif
