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
	bool moved; /* the view has moved to the levels: it is to be sought again */
	bool told;  /* `at` is the key told last; else where it began */
	uint8_t *at;
	size_t at_size, at_capacity;
	uint8_t to[];
};

struct pd_store_view {
	struct pd_store_view *next; /* opened after it; the shard's thread's */
	struct pd_log_position position;
	uint64_t opened_ns;
	pd_store_sense *makes_sense; /* the store's */
	char why[120];               /* it was given up; written before the mark */
	atomic_bool given_up, closed;
	struct pd_pin *pins[PD_STORE_TABLES]; /* newest first */
	unsigned held;                        /* of them, by the view; the shard's thread's, as the next */
	bool empty;                           /* nothing is held any more */
	/* The levels when they had become what the view shows: it can do without its generations. Taken by whoever is in it. */
	struct pd_levels_view *_Atomic settled;
	atomic_bool moved; /* it does */

	pthread_mutex_t inside; /* whoever is in it; what follows is theirs */
	bool entered;

	struct pd_table **indexes[PD_STORE_TABLES];
	unsigned pin_count; /* that are read */
	bool indexed;
	struct pd_levels_view *below;

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

/* ---- view_read.c ---- */
/* Give back what reading has taken, for good. */
void pd_view_reads_done(struct pd_store_view *view);
/* Read on in the levels that have settled, if they have. */
void pd_view_move(struct pd_store_view *view);

#endif
