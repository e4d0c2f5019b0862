/* What views share. Inside the room only. */
#ifndef PD_STORE_VIEW_PRIVATE_H
#define PD_STORE_VIEW_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/store_private.h"
#include "store/view.h"

/* A generation that views read. */
struct pd_pin {
	struct pd_pin *next;              /* of those that are kept */
	struct pd_generation *generation; /* NULL: it is kept */
	unsigned views;                   /* that read it */
	bool kept;                        /* it was flushed, and its memory is here */
	struct pd_generation memory;
	/* As it was frozen; the list goes through the tables themselves, which never change. */
	struct pd_table *tables;
	size_t table_count;
	pthread_mutex_t lock;
	struct pd_table **index; /* the tables by their actors, made by the first reader. Under `lock` */
};

struct pd_store_view_cursor {
	struct pd_store_view_cursor *next;
	struct pd_store_view *view;
	struct pd_store_cursor merge;
	size_t to_size;
	uint8_t to[];
};

struct pd_store_view {
	struct pd_store_view *next; /* opened after it; the shard's thread's */
	struct pd_log_position position;
	uint64_t opened_ns;
	char why[120]; /* it was given up; written before the mark */
	atomic_bool given_up, closed;
	pthread_mutex_t inside; /* whoever is in it; what follows is theirs */
	bool entered;

	struct pd_pin *pins[PD_STORE_TABLES]; /* newest first */
	struct pd_table **indexes[PD_STORE_TABLES];
	unsigned pin_count;
	bool indexed;
	struct pd_levels_view *below; /* NULL: nothing is held any more */

	struct pd_levels_value value; /* of the last get */
	bool has_value;
	struct pd_store_view_cursor *cursors;
	unsigned cursor_count;
	/* Actors in the levels: `actor` is the first behind `actors_after`, if has_actor. NULL: nowhere. */
	struct pd_levels_iterator *actors;
	uint64_t actors_after;
	bool has_actor;
	struct pd_store_view_actor actor;

	uint8_t level_key[PD_LEVELS_KEY_SIZE_MAX];
	uint8_t level_to[PD_LEVELS_KEY_SIZE_MAX];
};

/* view_read.c: give back what reading has taken. */
void pd_view_reads_done(struct pd_store_view *view);

#endif
