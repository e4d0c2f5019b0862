/* Exports and imports in one call, and what has to hold whatever becomes of them. What may not fail fails the test. */
#ifndef PD_TESTS_UNIT_RESTORE_TRANSFER_H
#define PD_TESTS_UNIT_RESTORE_TRANSFER_H

#include "ask.h"
#include "restore/export.h"

/* What is counted is what is there. */
void transfer_check(struct world *world);
/* Of all actors. */
uint64_t transfer_keys(struct world *world);
bool transfer_is_there(struct world *world, const char *name);

/* A command, for as long as it is told to come again. */
void transfer_run(struct world *world, const char *command);
/* `before`, then so many bytes of one kind. */
void transfer_run_long(struct world *world, const char *before, size_t size, char byte);

/* The next piece, of a job that has one. */
struct pd_slice transfer_piece(struct world *world, struct pd_restore_job *job);
/* All of it; what was in the buffer goes. */
int transfer_try_export(struct world *world, const char *order, struct pd_buffer *into,
			void (*meanwhile)(struct world *world));
void transfer_export(struct world *world, const char *order, struct pd_buffer *into);

extern unsigned transfer_turns; /* how often a piece did not end at once */
int transfer_put(struct world *world, struct pd_restore_job *job, struct pd_slice piece);
int transfer_put_all(struct world *world, struct pd_restore_job *job, struct pd_slice lines, size_t piece);
int transfer_try_import(struct world *world, const char *order, struct pd_slice lines, size_t piece);
void transfer_import(struct world *world, const char *order, const struct pd_buffer *lines, size_t piece);
/* It must fail like that, and leave nothing behind. */
void transfer_import_fails(struct world *world, const char *order, struct pd_slice lines, int code,
			   const char *words);

#endif
