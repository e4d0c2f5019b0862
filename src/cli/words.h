/* A line that somebody has typed, as the words of a command. */
#ifndef PD_CLI_WORDS_H
#define PD_CLI_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

struct pd_words {
	struct pd_slice *items;
	size_t count, capacity;
	struct pd_buffer bytes; /* what the items point into */
};

void pd_words_init(struct pd_words *words);
void pd_words_done(struct pd_words *words);

/* Split at blanks. "…" may hold blanks and \n \r \t \b \a \" \\ \xNN, '…' blanks and \'. PD_INVALID: a quote is not closed, or
 * something stands right behind one; the text says where. PD_NO_MEMORY, PD_TOO_LARGE. */
PD_MUST_CHECK int pd_words_split(struct pd_words *words, struct pd_slice line, struct pd_error *err);
/* One word more, behind those that are there. */
PD_MUST_CHECK int pd_words_add(struct pd_words *words, struct pd_slice word, struct pd_error *err);

/* Is word number `index` this, in any case? */
bool pd_words_are(const struct pd_words *words, size_t index, const char *name);
/* Does the command carry a password or a key, that no file may remember? */
bool pd_words_are_secret(const struct pd_words *words);

#endif
