/* A scan: a portion of items, and where the next one begins. */
#ifndef PD_EMBED_SCAN_H
#define PD_EMBED_SCAN_H

#include "embed/embed_private.h"

#define PORTION_FIRST 32u
#define PORTION_MAX   1024u
#define PORTION_BYTES ((size_t)256 * 1024)
#define ACTOR_LOOKS   100000u /* of one portion: others of other tenants are looked at, too */

enum scan_kind {
	SCAN_KEYS,
	SCAN_FIELDS,
	SCAN_RECORDS,
	SCAN_ACTORS,
};

struct perdure_scan {
	struct perdure_view *view;       /* that it goes over; NULL: what is newest */
	struct perdure_session *session; /* NULL: it is gone, or a view's */
	struct perdure_scan *next, *previous;
	enum scan_kind kind;
	bool keys_only, ended;
	uint64_t transaction;  /* its number; 0: outside of any */
	uint64_t left;         /* of the limit */
	struct pd_buffer name; /* "{actor}", or "{actor}key" */
	struct pd_buffer from; /* where the next portion begins */
	struct pd_buffer to;   /* where it ends; size 0: at the end */
	struct pd_stretch stretch;
	struct pd_buffer stretch_to;
	uint64_t number; /* of the record that comes next; 0: the first. The id of the last actor */

	struct pd_keep keep; /* bytes of the portion */
	struct perdure_item *items;
	size_t count, capacity, at;
	unsigned portion; /* items to be fetched at once */
};

/* Gives the bytes of a large string. */
typedef int pd_scan_copy(void *context, struct pd_slice name, const struct pd_entry *entry, uint8_t *to);
/* Put an item into the portion. PD_TOO_LARGE, PD_NO_MEMORY, or what `copy` fails with. */
int pd_scan_keep(struct perdure_scan *scan, struct pd_slice name, const struct pd_entry *entry,
		 pd_scan_copy *copy, void *context);
/* The smallest name behind this one. */
int pd_scan_behind(struct pd_buffer *buffer, struct pd_slice name);
/* Of a view: its first portion is fetched. */
int pd_scan_begin_view(struct perdure_view *view, struct pd_slice name, enum scan_kind kind,
		       const struct perdure_range *given, struct perdure_scan **ret_scan,
		       struct perdure_error *err);

#endif
