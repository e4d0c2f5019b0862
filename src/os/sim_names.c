/* The tree of names. Each directory has the names that are seen and the names that are stable; what lies
 * between them is the list of changes, in the order in which they were made. A change becomes stable when its
 * directory is synced (a rename between two directories: when both are), and drags along the earlier changes
 * that it stands on. A power cut lets each change survive or not, as long as it still makes sense: a file that
 * was never created cannot be renamed. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "os/sim_private.h"

/* ---- nodes ---- */

static struct pd_sim_node *node_new(struct pd_sim *sim, bool is_directory)
{
	struct pd_sim_node *node = pd_calloc(1, sizeof *node);

	if (node == NULL)
		return NULL;
	node->id = ++sim->next_id;
	node->references = 1;
	node->is_directory = is_directory;
	node->next = sim->nodes;
	if (node->next != NULL)
		node->next->previous = node;
	sim->nodes = node;
	return node;
}

static void entries_done(struct pd_sim *sim, struct pd_sim_entries *entries, bool seen);

void pd_sim_node_unref(struct pd_sim *sim, struct pd_sim_node *node)
{
	PD_ASSERT(node->references > 0);
	if (--node->references > 0)
		return;
	if (node->next != NULL)
		node->next->previous = node->previous;
	if (node->previous != NULL)
		node->previous->next = node->next;
	else
		sim->nodes = node->next;
	entries_done(sim, &node->seen, true);
	entries_done(sim, &node->stable, false);
	pd_sim_content_done(&sim->disk, &node->content);
	pd_free(node);
}

/* What nobody can reach takes no room, though the stable name still leads to it. */
static void uncharge_if_gone(struct pd_sim *sim, struct pd_sim_node *node)
{
	if (node->names == 0 && node->handles == 0)
		pd_sim_content_uncharge(&sim->disk, &node->content);
}

void pd_sim_node_hold(struct pd_sim_node *node)
{
	node->references++;
	node->handles++;
}

void pd_sim_node_release(struct pd_sim *sim, struct pd_sim_node *node)
{
	node->handles--;
	uncharge_if_gone(sim, node);
	pd_sim_node_unref(sim, node);
}

/* ---- entries ---- */

/* Where the name is, or where it would be. */
static size_t entries_find(const struct pd_sim_entries *entries, const char *name, bool *ret_found)
{
	size_t low = 0, high = entries->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(entries->items[middle].name, name);

		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = false;
	return low;
}

static struct pd_sim_node *entries_get(const struct pd_sim_entries *entries, const char *name)
{
	bool found;
	size_t at = entries_find(entries, name, &found);

	return found ? entries->items[at].node : NULL;
}

static int entries_reserve(struct pd_sim_entries *entries)
{
	struct pd_sim_entry *grown = pd_grow(entries->items, entries->count, &entries->capacity,
					     sizeof *grown, 8);

	if (grown == NULL)
		return ENOMEM;
	entries->items = grown;
	return 0;
}

/* Point the name at the node, whatever it pointed at before. `seen` says which of a directory's two sets this
 * is, for the counts. */
static int entries_put(struct pd_sim *sim, struct pd_sim_entries *entries, const char *name,
		       struct pd_sim_node *node, bool seen)
{
	struct pd_sim_node *old = NULL;
	bool found;
	size_t at = entries_find(entries, name, &found);

	if (found) {
		old = entries->items[at].node;
	} else {
		char *copy;

		if (entries_reserve(entries) != 0)
			return ENOMEM;
		copy = pd_strdup(name);
		if (copy == NULL)
			return ENOMEM;
		memmove(entries->items + at + 1, entries->items + at,
			(entries->count - at) * sizeof *entries->items);
		entries->items[at].name = copy;
		entries->count++;
	}
	entries->items[at].node = node;
	node->references++;
	if (seen)
		node->names++;
	if (old != NULL && seen) {
		old->names--;
		uncharge_if_gone(sim, old);
	}
	if (old != NULL)
		pd_sim_node_unref(sim, old);
	return 0;
}

static void entries_remove(struct pd_sim *sim, struct pd_sim_entries *entries, const char *name, bool seen)
{
	bool found;
	size_t at = entries_find(entries, name, &found);
	struct pd_sim_node *node;

	PD_ASSERT(found);
	node = entries->items[at].node;
	pd_free(entries->items[at].name);
	entries->count--;
	memmove(entries->items + at, entries->items + at + 1, (entries->count - at) * sizeof *entries->items);
	if (seen) {
		node->names--;
		uncharge_if_gone(sim, node);
	}
	pd_sim_node_unref(sim, node);
}

static void entries_done(struct pd_sim *sim, struct pd_sim_entries *entries, bool seen)
{
	while (entries->count > 0)
		entries_remove(sim, entries, entries->items[entries->count - 1].name, seen);
	pd_free(entries->items);
	*entries = (struct pd_sim_entries){ 0 };
}

/* ---- paths ---- */

/* The next component of a path, skipping "/" and ".". *path moves behind it. 0, ENOENT at the end, or what is
 * wrong with it. */
static int path_next(const char **path, char name[PD_SIM_NAME_MAX + 1])
{
	const char *from = *path;
	size_t size;

	do {
		while (*from == '/')
			from++;
		size = strcspn(from, "/");
		*path = from + size;
		if (size == 0)
			return ENOENT;
		if (size == 1 && *from == '.') {
			from++;
			continue;
		}
		break;
	} while (true);
	if (size == 2 && from[0] == '.' && from[1] == '.')
		return EINVAL;
	if (size > PD_SIM_NAME_MAX)
		return ENAMETOOLONG;
	memcpy(name, from, size);
	name[size] = '\0';
	return 0;
}

/* Walk to the directory of the last component. The path of the root itself has none: name is then "". */
static int walk(struct pd_sim *sim, const char *path, struct pd_sim_node **ret_directory,
		char name[PD_SIM_NAME_MAX + 1])
{
	struct pd_sim_node *directory = sim->root;
	char next[PD_SIM_NAME_MAX + 1];
	int rc;

	if (path[0] == '\0')
		return ENOENT;
	name[0] = '\0';
	rc = path_next(&path, name);
	if (rc == ENOENT) {
		*ret_directory = directory;
		return 0;
	}
	while (rc == 0) {
		rc = path_next(&path, next);
		if (rc == ENOENT) {
			*ret_directory = directory;
			return 0;
		}
		if (rc == 0) {
			directory = entries_get(&directory->seen, name);
			if (directory == NULL)
				return ENOENT;
			if (!directory->is_directory)
				return ENOTDIR;
			memcpy(name, next, sizeof next);
		}
	}
	return rc;
}

int pd_sim_lookup(struct pd_sim *sim, const char *path, struct pd_sim_node **ret_node)
{
	char name[PD_SIM_NAME_MAX + 1];
	struct pd_sim_node *directory, *node;
	int rc = walk(sim, path, &directory, name);

	if (rc != 0)
		return rc;
	node = name[0] == '\0' ? directory : entries_get(&directory->seen, name);
	if (node == NULL)
		return ENOENT;
	*ret_node = node;
	return 0;
}

/* ---- changes ---- */

static void change_done(struct pd_sim *sim, struct pd_sim_change *change)
{
	pd_free(change->name);
	pd_free(change->to_name);
	pd_sim_node_unref(sim, change->node);
	pd_sim_node_unref(sim, change->directory);
	if (change->to_directory != NULL)
		pd_sim_node_unref(sim, change->to_directory);
}

static void change_remove(struct pd_sim *sim, size_t index)
{
	struct pd_sim_change change = sim->changes[index];

	sim->change_count--;
	memmove(sim->changes + index, sim->changes + index + 1,
		(sim->change_count - index) * sizeof *sim->changes);
	change_done(sim, &change);
}

/* Note a change before it is made, so that it can be taken back when the making fails. */
static int change_add(struct pd_sim *sim, struct pd_sim_change change)
{
	struct pd_sim_change *grown;
	grown = pd_grow(sim->changes, sim->change_count, &sim->change_capacity, sizeof *grown, 16);
	if (grown == NULL)
		return ENOMEM;
	sim->changes = grown;
	change.name = pd_strdup(change.name);
	if (change.name == NULL)
		return ENOMEM;
	if (change.to_name != NULL) {
		change.to_name = pd_strdup(change.to_name);
		if (change.to_name == NULL) {
			pd_free(change.name);
			return ENOMEM;
		}
	}
	change.node->references++;
	change.directory->references++;
	if (change.to_directory != NULL)
		change.to_directory->references++;
	sim->changes[sim->change_count++] = change;
	return 0;
}

/* Make a change stable. */
static int change_apply(struct pd_sim *sim, const struct pd_sim_change *change)
{
	int rc = 0;

	if (change->kind == PD_SIM_CHANGE_CREATE)
		return entries_put(sim, &change->directory->stable, change->name, change->node, false);
	if (change->kind == PD_SIM_CHANGE_RENAME)
		rc = entries_put(sim, &change->to_directory->stable, change->to_name, change->node, false);
	if (rc == 0)
		entries_remove(sim, &change->directory->stable, change->name, false);
	return rc;
}

/* Whether a change makes sense to the stable names as they are. */
static bool change_applicable(const struct pd_sim_change *change)
{
	const struct pd_sim_node *there = entries_get(&change->directory->stable, change->name);

	if (change->kind == PD_SIM_CHANGE_CREATE)
		return there == NULL;
	/* Whatever still lies in a directory keeps it. */
	if (change->kind == PD_SIM_CHANGE_UNLINK && change->node->stable.count > 0)
		return false;
	return there == change->node;
}

static bool same_name(const struct pd_sim_node *a_directory, const char *a,
		      const struct pd_sim_node *b_directory, const char *b)
{
	return a_directory != NULL && a_directory == b_directory && strcmp(a, b) == 0;
}

/* Whether the later change `b` stands on `a`: they have a name in common, or `b` removes the directory that `a`
 * emptied. That they are of one file means nothing: its other names are none of their business. */
static bool stands_on(const struct pd_sim_change *b, const struct pd_sim_change *a)
{
	if (b->kind == PD_SIM_CHANGE_UNLINK && b->node->is_directory &&
	    (a->directory == b->node || a->to_directory == b->node))
		return true;
	return same_name(a->directory, a->name, b->directory, b->name) ||
	       same_name(a->to_directory, a->to_name, b->directory, b->name) ||
	       same_name(a->directory, a->name, b->to_directory, b->to_name) ||
	       same_name(a->to_directory, a->to_name, b->to_directory, b->to_name);
}

/* Make the change at `index` stable, and before it the earlier ones it stands on. Sets *index to where the next
 * change is then. */
static int change_settle(struct pd_sim *sim, size_t *index)
{
	int rc;

	for (size_t i = 0; i < *index;) {
		size_t at = i;

		if (!stands_on(&sim->changes[*index], &sim->changes[i])) {
			i++;
			continue;
		}
		rc = change_settle(sim, &at);
		if (rc != 0)
			return rc;
		*index -= i + 1 - at;
		i = at;
	}
	rc = change_apply(sim, &sim->changes[*index]);
	if (rc == 0)
		change_remove(sim, *index);
	return rc;
}

int pd_sim_tree_new(struct pd_sim *sim)
{
	sim->root = node_new(sim, true);
	return sim->root != NULL ? 0 : ENOMEM;
}

void pd_sim_tree_free(struct pd_sim *sim)
{
	pd_sim_tears_free(sim);
	while (sim->change_count > 0)
		change_remove(sim, sim->change_count - 1);
	pd_free(sim->changes);
	sim->changes = NULL;
	sim->change_capacity = 0;
	if (sim->root != NULL)
		pd_sim_node_unref(sim, sim->root);
	sim->root = NULL;
}

uint64_t pd_sim_tree_hash(const struct pd_sim_node *directory, uint64_t hash)
{
	for (size_t i = 0; i < directory->seen.count; i++) {
		const struct pd_sim_entry *entry = &directory->seen.items[i];

		hash = pd_hash64(pd_slice_string(entry->name), hash);
		if (entry->node->is_directory)
			hash = pd_sim_tree_hash(entry->node, hash);
		else if (!entry->node->is_lock)
			hash = pd_sim_content_hash(&entry->node->content, hash);
	}
	return pd_sim_mix(hash);
}

/* What is seen is what is stable. */
static void show_stable(struct pd_sim *sim, struct pd_sim_node *directory)
{
	/* The stable names hold the nodes, so that none is freed on the way. */
	entries_done(sim, &directory->seen, true);
	for (size_t i = 0; i < directory->stable.count; i++) {
		const struct pd_sim_entry *entry = &directory->stable.items[i];

		/* A power cut has nobody to report to; tests that make allocations fail switch it off here. */
		PD_ASSERT(entries_put(sim, &directory->seen, entry->name, entry->node, true) == 0);
	}
}

/* Of what was not stable, some changes are from now on. */
static void choose_survivors(struct pd_sim *sim)
{
	unsigned chance = pd_sim_random_survival(&sim->random);
	size_t last = sim->change_count - 1;

	if (sim->random.last_name && sim->change_count > 0) {
		PD_ASSERT(change_settle(sim, &last) == 0);
		return;
	}
	for (size_t i = 0; i < sim->change_count; i++) {
		const struct pd_sim_change *change = &sim->changes[i];

		/* What makes no sense is no choice. */
		if (chance == PD_SIM_COUNTED && !change_applicable(change))
			continue;
		if (pd_sim_random_chance(&sim->random, chance) && change_applicable(change))
			PD_ASSERT(change_apply(sim, change) == 0);
	}
}

void pd_sim_tree_power_cut(struct pd_sim *sim)
{
	struct pd_sim_node *node;

	choose_survivors(sim);
	/* Pinned, no directory goes while the list of nodes is walked; a file goes only with its last stable
	 * name and change, none of which ends here. */
	for (node = sim->nodes; node != NULL; node = node->next) {
		node->locked_by = 0;
		node->pinned = node->is_directory;
		if (node->pinned)
			node->references++;
	}
	for (node = sim->nodes; node != NULL; node = node->next)
		if (node->is_directory)
			show_stable(sim, node);
	while (sim->change_count > 0)
		change_remove(sim, sim->change_count - 1);
	for (node = sim->nodes; node != NULL;) {
		struct pd_sim_node *next = node->next;
		bool last = node->references == 1;

		if (node->pinned) {
			node->pinned = false;
			pd_sim_node_unref(sim, node);
			/* What lay in it may have gone too, the next node among it. */
			if (last)
				next = sim->nodes;
		}
		node = next;
	}
}

/* ---- operations ---- */

int pd_sim_create(struct pd_sim *sim, const char *path, bool is_directory, struct pd_sim_node **ret_node)
{
	char name[PD_SIM_NAME_MAX + 1];
	struct pd_sim_node *directory, *node;
	int rc = walk(sim, path, &directory, name);

	if (rc != 0)
		return rc;
	if (name[0] == '\0' || entries_get(&directory->seen, name) != NULL)
		return EEXIST;
	node = node_new(sim, is_directory);
	if (node == NULL)
		return ENOMEM;
	rc = change_add(sim, (struct pd_sim_change){ .kind = PD_SIM_CHANGE_CREATE,
						     .node = node,
						     .directory = directory,
						     .name = name });
	if (rc == 0) {
		rc = entries_put(sim, &directory->seen, name, node, true);
		if (rc != 0)
			change_remove(sim, sim->change_count - 1);
		else
			*ret_node = node;
	}
	pd_sim_node_unref(sim, node);
	return rc;
}

int pd_sim_info(struct pd_os *os, const char *path, struct pd_os_file_info *ret_info, struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	struct pd_sim_node *node;
	int rc;

	if (sim->crashed)
		return pd_sim_refuse(sim, PD_SIM_DEAD, 0, err, "look at", path);
	rc = pd_sim_lookup(sim, path, &node);
	if (rc == 0)
		*ret_info = (struct pd_os_file_info){ .size = node->content.size,
						      .id = node->id,
						      .is_directory = node->is_directory,
						      .mode = node->is_directory ? 0700 : 0600 };
	return pd_sim_end(sim, rc, err, "look at", path);
}

/* Whether `to` may be replaced by `node`, as rename(2) has it. */
static int check_replace(const struct pd_sim_node *node, const struct pd_sim_node *to)
{
	if (to == NULL)
		return 0;
	if (node->is_directory != to->is_directory)
		return to->is_directory ? EISDIR : ENOTDIR;
	return to->seen.count > 0 ? ENOTEMPTY : 0;
}

/* Whether `below` is `directory` or lies in it. */
static bool lies_in(const struct pd_sim_node *directory, const struct pd_sim_node *below)
{
	if (directory == below)
		return true;
	for (size_t i = 0; i < directory->seen.count; i++)
		if (directory->seen.items[i].node->is_directory &&
		    lies_in(directory->seen.items[i].node, below))
			return true;
	return false;
}

static int rename_names(struct pd_sim *sim, const char *from_path, const char *to_path)
{
	char from[PD_SIM_NAME_MAX + 1], to[PD_SIM_NAME_MAX + 1];
	struct pd_sim_node *directory, *to_directory, *node, *replaced;
	int rc = walk(sim, from_path, &directory, from);

	if (rc == 0)
		rc = walk(sim, to_path, &to_directory, to);
	if (rc != 0)
		return rc;
	if (from[0] == '\0' || to[0] == '\0')
		return EBUSY;
	node = entries_get(&directory->seen, from);
	if (node == NULL)
		return ENOENT;
	replaced = entries_get(&to_directory->seen, to);
	if (replaced == node)
		return 0;
	if (node->is_directory && lies_in(node, to_directory))
		return EINVAL;
	rc = check_replace(node, replaced);
	if (rc == 0)
		rc = change_add(sim, (struct pd_sim_change){ .kind = PD_SIM_CHANGE_RENAME,
							     .node = node,
							     .directory = directory,
							     .to_directory = to_directory,
							     .name = from,
							     .to_name = to });
	if (rc != 0)
		return rc;
	rc = entries_put(sim, &to_directory->seen, to, node, true);
	if (rc != 0)
		change_remove(sim, sim->change_count - 1);
	else
		entries_remove(sim, &directory->seen, from, true);
	return rc;
}

int pd_sim_rename(struct pd_os *os, const char *from, const char *to, struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	int rc;
	enum pd_sim_verdict verdict = pd_sim_begin(sim, PD_OS_OP_RENAME, pd_sim_trace_string(from),
						   pd_sim_trace_string(to), 0, &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "rename", from);
	return pd_sim_end(sim, rename_names(sim, from, to), err, "rename", from);
}

static int link_names(struct pd_sim *sim, const char *from, const char *to)
{
	char name[PD_SIM_NAME_MAX + 1];
	struct pd_sim_node *directory, *node;
	int rc = pd_sim_lookup(sim, from, &node);

	if (rc == 0)
		rc = walk(sim, to, &directory, name);
	if (rc != 0)
		return rc;
	if (name[0] == '\0' || entries_get(&directory->seen, name) != NULL)
		return EEXIST;
	if (node->is_directory)
		return EPERM;
	rc = change_add(sim, (struct pd_sim_change){ .kind = PD_SIM_CHANGE_CREATE,
						     .node = node,
						     .directory = directory,
						     .name = name });
	if (rc != 0)
		return rc;
	rc = entries_put(sim, &directory->seen, name, node, true);
	if (rc != 0)
		change_remove(sim, sim->change_count - 1);
	return rc;
}

int pd_sim_link(struct pd_os *os, const char *from, const char *to, struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	int rc;
	enum pd_sim_verdict verdict = pd_sim_begin(sim, PD_OS_OP_LINK, pd_sim_trace_string(from),
						   pd_sim_trace_string(to), 0, &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "link", from);
	return pd_sim_end(sim, link_names(sim, from, to), err, "link", from);
}

static int remove_name(struct pd_sim *sim, const char *path, bool is_directory)
{
	char name[PD_SIM_NAME_MAX + 1];
	struct pd_sim_node *directory, *node;
	int rc = walk(sim, path, &directory, name);

	if (rc != 0)
		return rc;
	if (name[0] == '\0')
		return is_directory ? EBUSY : EISDIR;
	node = entries_get(&directory->seen, name);
	if (node == NULL)
		return ENOENT;
	if (node->is_directory != is_directory)
		return is_directory ? ENOTDIR : EISDIR;
	if (node->seen.count > 0)
		return ENOTEMPTY;
	rc = change_add(sim, (struct pd_sim_change){ .kind = PD_SIM_CHANGE_UNLINK,
						     .node = node,
						     .directory = directory,
						     .name = name });
	if (rc == 0)
		entries_remove(sim, &directory->seen, name, true);
	return rc;
}

int pd_sim_unlink(struct pd_os *os, const char *path, struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	int rc;
	enum pd_sim_verdict verdict = pd_sim_begin(sim, PD_OS_OP_UNLINK, pd_sim_trace_string(path), 0, 0,
						   &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "remove", path);
	return pd_sim_end(sim, remove_name(sim, path, false), err, "remove", path);
}

int pd_sim_mkdir(struct pd_os *os, const char *path, struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	struct pd_sim_node *node;
	int rc;
	enum pd_sim_verdict verdict = pd_sim_begin(sim, PD_OS_OP_MKDIR, pd_sim_trace_string(path), 0, 0, &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "make directory", path);
	return pd_sim_end(sim, pd_sim_create(sim, path, true, &node), err, "make directory", path);
}

int pd_sim_rmdir(struct pd_os *os, const char *path, struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	int rc;
	enum pd_sim_verdict verdict = pd_sim_begin(sim, PD_OS_OP_RMDIR, pd_sim_trace_string(path), 0, 0, &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "remove directory", path);
	return pd_sim_end(sim, remove_name(sim, path, true), err, "remove directory", path);
}

static int sync_names(struct pd_sim *sim, const struct pd_sim_node *directory)
{
	int rc = 0;

	for (size_t i = 0; i < sim->change_count && rc == 0;) {
		struct pd_sim_change *change = &sim->changes[i];

		if (change->directory == directory)
			change->synced = true;
		if (change->to_directory == directory)
			change->to_synced = true;
		if (change->synced && (change->to_directory == NULL || change->to_synced))
			rc = change_settle(sim, &i);
		else
			i++;
	}
	return rc;
}

int pd_sim_sync_directory(struct pd_os *os, const char *path, struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	struct pd_sim_node *node;
	int rc;
	enum pd_sim_verdict verdict = pd_sim_begin(sim, PD_OS_OP_SYNC_DIRECTORY, pd_sim_trace_string(path), 0,
						   0, &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "sync directory", path);
	rc = pd_sim_lookup(sim, path, &node);
	if (rc == 0 && !node->is_directory)
		rc = ENOTDIR;
	if (rc == 0 && !sim->options.lying_directory_sync)
		rc = sync_names(sim, node);
	return pd_sim_end(sim, rc, err, "sync directory", path);
}

static int copy_names(const struct pd_sim_entries *entries, struct pd_os_names *names)
{
	names->names = pd_malloc(entries->count * sizeof *names->names);
	if (names->names == NULL)
		return ENOMEM;
	for (size_t i = 0; i < entries->count; i++) {
		names->names[i] = pd_strdup(entries->items[i].name);
		if (names->names[i] == NULL)
			return ENOMEM;
		names->count++;
	}
	return 0;
}

int pd_sim_list(struct pd_os *os, const char *path, struct pd_os_names *ret_names, struct pd_error *err)
{
	struct pd_sim *sim = pd_sim_of(os);
	struct pd_os_names names = { 0 };
	struct pd_sim_node *node;
	int rc;
	enum pd_sim_verdict verdict = pd_sim_begin(sim, PD_OS_OP_LIST, pd_sim_trace_string(path), 0, 0, &rc);

	if (verdict != PD_SIM_GO)
		return pd_sim_refuse(sim, verdict, rc, err, "list", path);
	rc = pd_sim_lookup(sim, path, &node);
	if (rc == 0 && !node->is_directory)
		rc = ENOTDIR;
	if (rc == 0)
		rc = copy_names(&node->seen, &names);
	if (rc != 0)
		pd_os_names_done(&names);
	else
		*ret_names = names;
	return pd_sim_end(sim, rc, err, "list", path);
}
