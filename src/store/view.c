/* Views: opening, giving up, and what becomes of the memory that they kept.
 *
 * A pin stands for one generation that views read. When that has been flushed, its memory moves into the pin (tables and
 * entries stay where they are), and is freed when the last view has let go of it. Pins belong to the shard's thread, but for what
 * a reader makes of them under their lock (pd_pin_index()).
 *
 * When the last of a view's generations has been flushed, the levels are what it shows, until the next flush ends. So at that moment a
 * view of them is made for it, to which it moves: by its reader when it enters, or by a step that finds nobody in it. From then
 * on it keeps no memory.
 *
 * Whoever is in a view holds its lock. The shard's thread marks a view that it gives up, and takes what it holds at a step that
 * finds nobody in it. */
#include "store/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/plant.h"
#include "store/view_private.h"

#define CHUNKS_A_STEP 4u

static void lock(pthread_mutex_t *mutex)
{
	PD_ASSERT(pthread_mutex_lock(mutex) == 0);
}

static void unlock(pthread_mutex_t *mutex)
{
	PD_ASSERT(pthread_mutex_unlock(mutex) == 0);
}

/* ---- pins ---- */

static struct pd_pin *pin_new(struct pd_generation *generation)
{
	struct pd_pin *pin = pd_calloc(1, sizeof *pin);

	if (pin == NULL)
		return NULL;
	PD_ASSERT(pthread_mutex_init(&pin->lock, NULL) == 0);
	pin->generation = generation;
	pin->tables = generation->tables;
	pin->table_count = generation->table_count;
	generation->pin = pin;
	return pin;
}

static void pin_free(struct pd_pin *pin)
{
	PD_ASSERT(pthread_mutex_destroy(&pin->lock) == 0);
	pd_free(pin->index);
	pd_free(pin);
}

static void pin_release(struct pd_pin *pin)
{
	if (--pin->views > 0 || pin->kept)
		return; /* its memory goes with the steps */
	pin->generation->pin = NULL;
	pin_free(pin);
}

static size_t pin_bytes(const struct pd_pin *pin)
{
	return pd_generation_bytes(&pin->memory) + pin->table_count * sizeof(struct pd_table *);
}

void pd_pin_keep(struct pd_store *store, struct pd_generation *generation)
{
	struct pd_pin *pin = generation->pin;

	pin->memory = *generation;
	pin->memory.pin = NULL;
	pin->generation = NULL;
	pin->kept = true;
	pin->next = store->kept;
	store->kept = pin;
	generation->pin = NULL;
	generation->blocks = NULL;
	generation->block_count = generation->block_capacity = 0;
	generation->block_bytes = generation->block_live_bytes = 0;
	generation->block_open = NULL;
}

size_t pd_store_view_bytes(const struct pd_store *store)
{
	size_t bytes = 0;

	for (const struct pd_pin *pin = store->kept; pin != NULL; pin = pin->next)
		bytes += pin_bytes(pin);
	return bytes;
}

/* Free a little of what no view reads any more. */
static void free_some(struct pd_store *store, unsigned chunks)
{
	for (struct pd_pin **at = &store->kept; *at != NULL; at = &(*at)->next) {
		struct pd_pin *pin = *at;

		if (pin->views > 0)
			continue;
		if (!pd_arena_done_some(&pin->memory.arena, chunks))
			return;
		pd_lent_done(&pin->memory);
		*at = pin->next;
		pin_free(pin);
		return;
	}
}

/* ---- opening ---- */

static int view_new(struct pd_store *store, struct pd_store_view **ret_view, struct pd_error *err)
{
	struct pd_store_view *view = pd_calloc(1, sizeof *view);
	int result;

	if (view == NULL)
		return pd_store_no_memory(err);
	result = pd_levels_view_new(store->levels, &view->below, err);
	if (result != 0) {
		pd_free(view);
		return result;
	}
	PD_ASSERT(pthread_mutex_init(&view->inside, NULL) == 0);
	atomic_init(&view->given_up, false);
	atomic_init(&view->closed, false);
	atomic_init(&view->settled, NULL);
	atomic_init(&view->moved, false);
	view->opened_ns = pd_os_monotonic_ns(store->os);
	view->makes_sense = store->makes_sense;
	*ret_view = view;
	return 0;
}

static void release_pins(struct pd_store_view *view)
{
	while (view->held > 0)
		pin_release(view->pins[--view->held]);
}

/* Nobody is in it. */
static void let_go(struct pd_store_view *view)
{
	pd_view_reads_done(view);
	pd_levels_view_free(view->below);
	view->below = NULL;
	pd_levels_view_free(atomic_exchange(&view->settled, NULL));
	view->pin_count = 0;
	release_pins(view);
	view->empty = true;
}

static void view_free(struct pd_store_view *view)
{
	let_go(view);
	PD_ASSERT(pthread_mutex_destroy(&view->inside) == 0);
	pd_free(view);
}

/* Those that nobody has any more. */
static void free_closed(struct pd_store *store)
{
	struct pd_store_view **at = &store->views;

	while (*at != NULL) {
		struct pd_store_view *view = *at;

		if (atomic_load(&view->closed)) {
			*at = view->next;
			store->view_count--;
			view_free(view);
		} else {
			at = &view->next;
		}
	}
}

/* Generations down to the oldest that may not be in the levels that the view has. One that is being flushed may be in them or not:
 * that makes no difference, since what it has hides the same. */
static int pin_generations(struct pd_store *store, struct pd_store_view *view, uint64_t newest)
{
	for (uint64_t number = newest; number >= store->oldest + store->dropping; number--) {
		struct pd_generation *generation = pd_generation(store, number);
		struct pd_pin *pin = generation->pin != NULL ? generation->pin : pin_new(generation);

		if (pin == NULL)
			return PD_NO_MEMORY;
		pin->views++;
		view->pins[view->held++] = pin;
		view->pin_count = view->held;
	}
	return 0;
}

static int check_open(const struct pd_store *store, bool freezes, struct pd_error *err)
{
	if (store->levels == NULL)
		return pd_error_set(err, PD_NOT_SUPPORTED,
				    "there are no views of a state that is kept in memory only");
	if (store->view_count >= PD_STORE_VIEWS_MAX)
		return pd_error_set(err, PD_BUSY, "%u views are open already: close one first",
				    store->view_count);
	if (freezes && !pd_store_can_freeze(store))
		return pd_error_set(err, PD_AGAIN,
				    "what was written before must reach the disk first: try again");
	return 0;
}

int pd_store_view_open(struct pd_store *store, const struct pd_log_position *newest,
		       struct pd_store_view **ret_view, struct pd_error *err)
{
	bool freezes = newest != NULL && pd_generation(store, store->active)->tables != NULL;
	struct pd_store_view *view = NULL, **last = &store->views;
	uint64_t newest_number;
	int result;

	PD_ASSERT(!store->in_transaction);
	if (store->view_count >= PD_STORE_VIEWS_MAX)
		free_closed(store);
	result = check_open(store, freezes, err);
	if (result != 0)
		return result;
	result = view_new(store, &view, err);
	if (result != 0)
		return result;
	view->position = newest != NULL ? *newest : pd_store_frozen(store);
	newest_number = store->active - (freezes ? pd_plant(PD_PLANT_VIEW_BEHIND) : 1);
	if (pin_generations(store, view, newest_number) != 0) {
		view_free(view);
		return pd_store_no_memory(err);
	}
	if (freezes)
		PD_ASSERT(pd_store_freeze(store, *newest, NULL) == 0);
	while (*last != NULL)
		last = &(*last)->next;
	*last = view;
	store->view_count++;
	*ret_view = view;
	return 0;
}

void pd_store_view_close(struct pd_store_view *view)
{
	if (view != NULL)
		atomic_store(&view->closed, true);
}

struct pd_log_position pd_store_view_position(const struct pd_store_view *view)
{
	return view->position;
}

unsigned pd_store_views(const struct pd_store *store)
{
	return store->view_count + (store->kept != NULL);
}

/* ---- coming in ---- */

int pd_store_view_enter(struct pd_store_view *view, struct pd_error *err)
{
	lock(&view->inside);
	if (!atomic_load(&view->given_up)) {
		pd_view_move(view);
		view->entered = true;
		return 0;
	}
	unlock(&view->inside);
	return pd_error_set(err, PD_VIEW_TOO_OLD, "the view of LSN %" PRIu64 " was given up, since %s",
			    view->position.lsn, view->why);
}

void pd_store_view_leave(struct pd_store_view *view)
{
	PD_ASSERT(view->entered);
	view->entered = false;
	unlock(&view->inside);
}

/* ---- settling ---- */

void pd_views_settle(struct pd_store *store, const struct pd_generation *generation)
{
	for (struct pd_store_view *view = store->views; view != NULL; view = view->next) {
		struct pd_levels_view *settled;

		if (view->held == 0 ||
		    (view->pins[0]->generation != generation && !pd_plant(PD_PLANT_VIEW_SETTLES_EARLY)) ||
		    atomic_load(&view->given_up) || atomic_load(&view->closed))
			continue;
		/* Without it, the view keeps what it has. */
		if (pd_levels_view_new(store->levels, &settled, NULL) == 0)
			pd_levels_view_free(atomic_exchange(&view->settled, settled));
	}
}

/* Its reader may have moved it; if nobody is in it, it is moved here. */
static void try_move(struct pd_store_view *view)
{
	if (atomic_load(&view->settled) != NULL && pthread_mutex_trylock(&view->inside) == 0) {
		if (!view->empty)
			pd_view_move(view);
		unlock(&view->inside);
	}
	if (atomic_load(&view->moved))
		release_pins(view);
}

/* ---- giving up ---- */

static void give_up(struct pd_store *store, struct pd_store_view *view, const char *why)
{
	if (atomic_load(&view->given_up))
		return;
	(void)snprintf(view->why, sizeof view->why, "%s", why);
	atomic_store(&view->given_up, true);
	store->views_given_up++;
}

/* Take what a view holds that was given up, unless somebody is in it. */
static void try_let_go(struct pd_store_view *view)
{
	if (view->empty || pthread_mutex_trylock(&view->inside) != 0)
		return;
	let_go(view);
	unlock(&view->inside);
}

static void look_at_age(struct pd_store *store)
{
	uint64_t now_ns;

	if (store->views_age_s == 0 || store->views == NULL)
		return;
	now_ns = pd_os_monotonic_ns(store->os);
	for (struct pd_store_view *view = store->views; view != NULL; view = view->next) {
		char why[sizeof view->why];

		if (now_ns - view->opened_ns < store->views_age_s * UINT64_C(1000000000))
			break; /* the next were opened later */
		(void)snprintf(why, sizeof why, "it was open for longer than %" PRIu64 " s: open another one",
			       store->views_age_s);
		give_up(store, view, why);
	}
}

static bool keeps_memory(const struct pd_store_view *view)
{
	for (unsigned i = 0; i < view->held; i++)
		if (view->pins[i]->kept)
			return true;
	return false;
}

/* The oldest goes first: it keeps the oldest. One after the other, since they share what they keep. */
static void look_at_bytes(struct pd_store *store)
{
	if (store->views_bytes == 0)
		return;
	for (struct pd_store_view *view = store->views; view != NULL; view = view->next) {
		size_t bytes = 0;
		char why[sizeof view->why];

		for (const struct pd_pin *pin = store->kept; pin != NULL; pin = pin->next)
			bytes += pin->views > 0 ? pin_bytes(pin) : 0;
		if (bytes <= store->views_bytes)
			return;
		if (!keeps_memory(view))
			continue;
		(void)snprintf(why, sizeof why,
			       "views kept more than the %zu MiB of memory that they may: open another one",
			       store->views_bytes >> 20);
		give_up(store, view, why);
		try_let_go(view);
		if (!view->empty)
			return; /* when its reader has left */
	}
}

bool pd_views_give_up(struct pd_store *store, const char *why)
{
	bool all = true;

	free_closed(store);
	for (struct pd_store_view *view = store->views; view != NULL; view = view->next) {
		give_up(store, view, why);
		try_let_go(view);
		all = all && view->empty;
	}
	return all;
}

void pd_views_step(struct pd_store *store)
{
	if (store->views == NULL && store->kept == NULL)
		return;
	free_closed(store);
	look_at_age(store);
	for (struct pd_store_view *view = store->views; view != NULL; view = view->next)
		if (atomic_load(&view->given_up))
			try_let_go(view);
		else
			try_move(view);
	look_at_bytes(store);
	free_some(store, CHUNKS_A_STEP);
}

void pd_views_done(struct pd_store *store)
{
	free_closed(store);
	PD_ASSERT(store->views == NULL); /* each was closed */
	while (store->kept != NULL)
		free_some(store, UINT32_MAX / 64);
}
