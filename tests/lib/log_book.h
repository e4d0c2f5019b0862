/* What was written to a log, kept beside it, and whether that is what comes back. */
#ifndef PD_TESTS_LOG_BOOK_H
#define PD_TESTS_LOG_BOOK_H

#include "log/log.h"

/* Make a call that must succeed; it gives `why` for its error. */
#define check(call)                                     \
	do {                                            \
		struct pd_error check_err = { 0 };      \
		struct pd_error *why = &check_err;      \
		int check_rc = (call);                  \
		if (check_rc != 0)                      \
			fail_msg("%s", check_err.text); \
	} while (false)

#define BOOK_ACTORS 4

struct book_record {
	uint64_t epoch;
	uint64_t group_first, group_last; /* LSNs of the group that it was submitted in */
	uint64_t actors[BOOK_ACTORS];
	size_t actor_count;
	uint8_t *bytes; /* behind the checksum; NULL: an epoch's own record */
	size_t size;
};

struct log_book {
	struct book_record *records; /* LSN n is records[n - 1] */
	size_t count, capacity;
	uint64_t random;
	uint64_t time_us;
	uint64_t epoch;     /* the highest that was begun */
	bool begin_tried;   /* one failed on the way: its record may be there all the same */
	uint64_t record_id; /* stands in every record: no two are equal */
	char problem[300];  /* what does not agree, first found */
};

void book_init(struct log_book *book, uint64_t seed);
void book_done(struct log_book *book);
uint64_t book_random(struct log_book *book, uint64_t below);

/* Append a record with a value of `value_size` bytes and a few random extras to the group. */
void book_record(struct log_book *book, struct pd_log_group *group, size_t value_size);
/* A new group behind everything in the book, with `records` records of up to `value_max` bytes. */
struct pd_log_group *book_group(struct log_book *book, unsigned records, size_t value_max);
/* Write the group's records into the book. */
void book_note(struct log_book *book, uint64_t epoch, const struct pd_log_group *group);
/* Note and submit. */
int book_submit(struct log_book *book, struct pd_log *log, struct pd_log_group *group, enum pd_log_sync sync);
/* Reserve, note, submit, reap; the group is freed. All must succeed. */
void book_write(struct log_book *book, struct pd_log *log, struct pd_log_group *group, enum pd_log_sync sync);
/* Begin an epoch, and note it. PD_CORRUPT and `problem`: it gives a number again that it gave before. */
int book_begin(struct log_book *book, struct pd_log *log, struct pd_error *err);
/* Forget what is above last_lsn. */
void book_cut(struct log_book *book, uint64_t last_lsn);

/* Is this the record that was written under its LSN? Else `problem` says what is wrong. */
bool book_same(struct log_book *book, const struct pd_record *record);
/* Are the actors of this damage those whose groups it hits? */
bool book_same_actors(struct log_book *book, const struct pd_log_damage *damage);
/* Read all from from_lsn: no damage, no hole, everything as written. false: see `problem`. */
bool book_read(struct log_book *book, struct pd_log *log, uint64_t from_lsn, struct pd_log_end *ret_end);

#endif
