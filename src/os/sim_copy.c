/* A simulated machine made what another one is. Nodes are copied in the order in which they lie in the machine's list, since a power cut
 * chooses in that order; each knows its twin while the rest is copied. Pages and versions come from the pools of the machine that
 * is overwritten, so that copying again and again allocates next to nothing. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "os/sim_private.h"

/* ---- bytes ---- */

static int page_copy(struct pd_sim_disk *disk, struct pd_sim_page *page, const struct pd_sim_page *from)
{
	*page = *from;
	page->next_free = NULL;
	for (unsigned unit = 0; unit < PD_SIM_PAGE_UNITS; unit++)
		page->older[unit] = NULL;
	for (unsigned unit = 0; unit < PD_SIM_PAGE_UNITS; unit++) {
		struct pd_sim_version **link = &page->older[unit];

		for (const struct pd_sim_version *older = from->older[unit]; older != NULL;
		     older = older->older) {
			struct pd_sim_version *version = pd_sim_version_new(disk, older->zero);

			if (version == NULL)
				return ENOMEM;
			version->truncated = older->truncated;
			if (!older->zero)
				memcpy(version->data, older->data, disk->unit);
			*link = version;
			link = &version->older;
		}
	}
	return 0;
}

/* `to` is empty, and of another disk. What is used of that is set right in the end. */
static int content_copy(struct pd_sim_disk *disk, struct pd_sim_content *to,
			const struct pd_sim_content *from)
{
	*to = *from;
	to->pages = NULL;
	to->page_capacity = 0;
	to->dirty = NULL;
	to->dirty_count = to->dirty_capacity = 0;
	if (from->dirty_count > 0) {
		to->dirty = pd_malloc(from->dirty_count * sizeof *to->dirty);
		if (to->dirty == NULL)
			return ENOMEM;
		memcpy(to->dirty, from->dirty, from->dirty_count * sizeof *to->dirty);
		to->dirty_count = to->dirty_capacity = from->dirty_count;
	}
	if (from->page_capacity > 0 && pd_sim_pages_reserve(to, from->page_capacity - 1) != 0)
		return ENOMEM;
	for (size_t index = 0; index < from->page_capacity; index++) {
		if (from->pages[index] == NULL)
			continue;
		to->pages[index] = pd_sim_page_new(disk);
		if (to->pages[index] == NULL || page_copy(disk, to->pages[index], from->pages[index]) != 0)
			return ENOMEM;
	}
	return 0;
}

/* ---- names ---- */

static int copy_nodes(struct pd_sim *sim, const struct pd_sim *from)
{
	struct pd_sim_node **link = &sim->nodes, *previous = NULL;

	for (struct pd_sim_node *node = from->nodes; node != NULL; node = node->next) {
		struct pd_sim_node *twin = pd_calloc(1, sizeof *twin);

		if (twin == NULL)
			return ENOMEM;
		PD_ASSERT(node->handles == 0 && !node->pinned);
		/* References are counted as they are made. */
		twin->id = node->id;
		twin->is_directory = node->is_directory;
		twin->locked_by = node->locked_by;
		twin->is_lock = node->is_lock;
		twin->previous = previous;
		*link = previous = twin;
		link = &twin->next;
		node->twin = twin;
	}
	return 0;
}

static int copy_entries(struct pd_sim_entries *to, const struct pd_sim_entries *from, bool seen)
{
	if (from->count == 0)
		return 0;
	to->items = pd_malloc(from->count * sizeof *to->items);
	if (to->items == NULL)
		return ENOMEM;
	to->capacity = from->count;
	for (size_t i = 0; i < from->count; i++) {
		struct pd_sim_node *node = from->items[i].node->twin;
		char *name = pd_strdup(from->items[i].name);

		if (name == NULL)
			return ENOMEM;
		to->items[to->count++] = (struct pd_sim_entry){ .name = name, .node = node };
		node->references++;
		node->names += seen;
	}
	return 0;
}

static struct pd_sim_node *hold_twin(const struct pd_sim_node *node)
{
	if (node == NULL)
		return NULL;
	node->twin->references++;
	return node->twin;
}

static int copy_changes(struct pd_sim *sim, const struct pd_sim *from)
{
	if (from->change_count == 0)
		return 0;
	sim->changes = pd_malloc(from->change_count * sizeof *sim->changes);
	if (sim->changes == NULL)
		return ENOMEM;
	sim->change_capacity = from->change_count;
	for (size_t i = 0; i < from->change_count; i++) {
		struct pd_sim_change change = from->changes[i];

		change.name = pd_strdup(change.name);
		if (change.name != NULL && change.to_name != NULL) {
			change.to_name = pd_strdup(change.to_name);
			if (change.to_name == NULL) {
				pd_free(change.name);
				change.name = NULL;
			}
		}
		if (change.name == NULL)
			return ENOMEM;
		change.node = hold_twin(change.node);
		change.directory = hold_twin(change.directory);
		change.to_directory = hold_twin(change.to_directory);
		sim->changes[sim->change_count++] = change;
	}
	return 0;
}

static int copy_tears(struct pd_sim *sim, const struct pd_sim *from)
{
	for (const struct pd_sim_tear *tear = from->tears; tear != NULL; tear = tear->next) {
		struct pd_sim_tear *copy = pd_malloc(sizeof *copy + tear->size);

		if (copy == NULL)
			return ENOMEM;
		*copy = (struct pd_sim_tear){ .node = hold_twin(tear->node),
					      .offset = tear->offset,
					      .size = tear->size,
					      .part = tear->part };
		memcpy(copy->data, tear->data, tear->size);
		*sim->last_tear = copy;
		sim->last_tear = &copy->next;
	}
	return 0;
}

static int copy_all(struct pd_sim *sim, const struct pd_sim *from)
{
	if (copy_nodes(sim, from) != 0)
		return ENOMEM;
	sim->root = hold_twin(from->root);
	for (const struct pd_sim_node *node = from->nodes; node != NULL; node = node->next)
		if (copy_entries(&node->twin->seen, &node->seen, true) != 0 ||
		    copy_entries(&node->twin->stable, &node->stable, false) != 0 ||
		    content_copy(&sim->disk, &node->twin->content, &node->content) != 0)
			return ENOMEM;
	return copy_changes(sim, from) != 0 ? ENOMEM : copy_tears(sim, from);
}

int pd_sim_copy(struct pd_os *os, const struct pd_os *from_os)
{
	struct pd_sim *sim = pd_sim_of(os);
	const struct pd_sim *from = (const struct pd_sim *)from_os;

	PD_ASSERT(sim != from && sim->queues == NULL && from->queues == NULL);
	for (const struct pd_sim_node *node = sim->nodes; node != NULL; node = node->next)
		PD_ASSERT(node->handles == 0);
	pd_sim_tree_free(sim);
	PD_ASSERT(sim->nodes == NULL && sim->disk.used_pages == 0);
	/* Its pool is of versions of the other size. */
	if (sim->disk.unit != from->disk.unit)
		pd_sim_disk_done(&sim->disk);
	sim->disk.unit = from->disk.unit;
	if (copy_all(sim, from) != 0) {
		/* Whatever refers to what is told by counts that are right: it can be freed. */
		return PD_NO_MEMORY;
	}
	pd_sim_take_options(sim, &from->options);
	sim->disk.used_pages = from->disk.used_pages;
	sim->random = from->random;
	sim->keys = from->keys;
	sim->next_id = from->next_id;
	sim->process = from->process;
	sim->crashed = from->crashed;
	sim->crash_in = from->crash_in;
	memcpy(sim->fail_in, from->fail_in, sizeof sim->fail_in);
	memcpy(sim->fail_errnum, from->fail_errnum, sizeof sim->fail_errnum);
	sim->fail_any_in = from->fail_any_in;
	sim->fail_any_errnum = from->fail_any_errnum;
	sim->fail_any_for_good = from->fail_any_for_good;
	sim->operations = from->operations;
	sim->shape = from->shape;
	sim->astray = from->astray;
	sim->real_us = from->real_us;
	sim->monotonic_ns = from->monotonic_ns;
	sim->trace = from->trace;
	return 0;
}
