/* RocksDB's C++ behind shim.h. No exception leaves: RocksDB throws none of its own, but memory may run out. */
extern "C" {
#include "base/error.h"
#include "base/memory.h"
}
#include "store/rocks/shim.h"

#include <atomic>
#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/metadata.h>
#include <rocksdb/options.h>
#include <rocksdb/rate_limiter.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>

using rocksdb::Status;

static const size_t MiB = 1024 * 1024;
static const size_t PREFIX_SIZE = 8; /* the actor: levels.h */

static const char applied_family[] = "applied";
static const char applied_key[] = "applied";

/* ---- errors ---- */

static int code_of(const Status &status)
{
	if (status.ok())
		return 0;
	if (status.IsNoSpace() || status.subcode() == Status::kSpaceLimit)
		return PD_NO_SPACE;
	if (status.IsMemoryLimit())
		return PD_NO_MEMORY;
	/* A file that the manifest names and that is not there is damage, not an ordinary "not found". */
	if (status.IsCorruption() || status.IsPathNotFound())
		return PD_CORRUPT;
	if (status.IsManualCompactionPaused() || status.IsShutdownInProgress())
		return PD_CANCELLED;
	if (status.IsInvalidArgument())
		return PD_INVALID;
	if (status.IsNotSupported())
		return PD_NOT_SUPPORTED;
	if (status.IsBusy())
		return PD_BUSY;
	return PD_IO;
}

/* RocksDB looks for a missing 000012.sst under its old name as well, and then names only that. */
static std::string text_of(const Status &status)
{
	std::string text = status.ToString();

	for (size_t at = text.find(".ldb"); at != std::string::npos; at = text.find(".ldb", at))
		text.replace(at, 4, ".sst");
	return text;
}

static int fail(struct pd_error *err, const char *what, const Status &status)
{
	return pd_error_set(err, code_of(status), "RocksDB, %s: %s", what, text_of(status).c_str());
}

template <typename Work> static int guarded(struct pd_error *err, const char *what, Work work)
{
	try {
		return work();
	} catch (const std::bad_alloc &) {
		return pd_error_set(err, PD_NO_MEMORY, "RocksDB, %s: out of memory", what);
	} catch (const std::exception &exception) {
		return pd_error_set(err, PD_IO, "RocksDB, %s: %s", what, exception.what());
	}
}

/* In memory that passes the fault point of pd_malloc(). */
template <typename T> static T *make()
{
	void *memory = pd_malloc(sizeof(T));

	if (memory == nullptr)
		throw std::bad_alloc();
	try {
		return new (memory) T();
	} catch (...) {
		pd_free(memory);
		throw;
	}
}

template <typename T> static void destroy(T *object)
{
	if (object != nullptr) {
		object->~T();
		pd_free(object);
	}
}

template <typename T> struct destroyer {
	void operator()(T *object) const
	{
		destroy(object);
	}
};
template <typename T> using owned = std::unique_ptr<T, destroyer<T>>;

static rocksdb::Slice slice(const void *data, size_t size)
{
	return rocksdb::Slice(static_cast<const char *>(data), size);
}

/* Hears of background work that has failed, which no call would report otherwise. */
class Listener : public rocksdb::EventListener
{
      public:
	void OnBackgroundError(rocksdb::BackgroundErrorReason, Status *status) override
	{
		fail(*status);
	}

	/* Without paranoid_checks a compaction that fails is only tried again and again. */
	void OnCompactionCompleted(rocksdb::DB *, const rocksdb::CompactionJobInfo &info) override
	{
		int code = code_of(info.status);

		compactions.fetch_add(1);
		if (code != 0 && code != PD_CANCELLED)
			fail(info.status);
	}

	void fail(const Status &status)
	{
		std::lock_guard<std::mutex> guard(mutex);
		failure = text_of(status);
		failed.store(true);
	}

	void clear()
	{
		std::lock_guard<std::mutex> guard(mutex);
		failed.store(false);
		failure.clear();
	}

	void get(struct pd_rocks_stats *stats)
	{
		std::lock_guard<std::mutex> guard(mutex);
		stats->failed = failed.load();
		snprintf(stats->failure, sizeof stats->failure, "%s", failure.c_str());
	}

	std::atomic<bool> failed{ false };
	std::atomic<uint64_t> compactions{ 0 };

      private:
	std::mutex mutex;
	std::string failure;
};

struct pd_rocks_pin {
	rocksdb::PinnableSlice value;
	struct pd_rocks *rocks = nullptr;
	struct pd_rocks_pin *next = nullptr;
};

struct pd_rocks {
	rocksdb::Options options; /* of the data; those of its files are made from it */
	std::shared_ptr<Listener> listener = std::make_shared<Listener>();
	std::unique_ptr<rocksdb::DB> db;
	rocksdb::ColumnFamilyHandle *data = nullptr, *applied = nullptr;
	std::shared_ptr<rocksdb::Cache> cache;
	rocksdb::ReadOptions get_options, get_options_plain; /* with range tombstones, and without */
	struct pd_rocks_pin *free_pins = nullptr;            /* the reading thread's */
	std::atomic<bool> cancelled{ false };
	std::atomic<bool> ranges{ true }; /* some file may hold range tombstones */
	uint64_t looked_at = UINT64_MAX;  /* compactions that were done when files were last asked for them */
	std::atomic<bool> compactions_stopped{ false };

	~pd_rocks()
	{
		while (free_pins != nullptr) {
			struct pd_rocks_pin *pin = free_pins;
			free_pins = pin->next;
			destroy(pin);
		}
	}
};

/* ---- options ---- */

static rocksdb::BlockBasedTableOptions table_options(const std::shared_ptr<rocksdb::Cache> &cache)
{
	rocksdb::BlockBasedTableOptions table;

	table.format_version = 5;
	table.checksum = rocksdb::kXXH3;
	table.block_cache = cache;
	table.block_size = 8 * 1024;
	table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
	table.data_block_hash_table_util_ratio = 0.75;
	/* Filters and indexes count against the cache, in pieces: a whole filter of a 64 MiB file is larger than
	 * what one shard of a small cache holds. */
	table.cache_index_and_filter_blocks = true;
	table.cache_index_and_filter_blocks_with_high_priority = true;
	table.pin_l0_filter_and_index_blocks_in_cache = true;
	table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
	table.partition_filters = true;
	table.metadata_block_size = 4096;
	table.pin_top_level_index_and_filter = true;
	table.filter_policy.reset(rocksdb::NewRibbonFilterPolicy(10, 1));
	table.whole_key_filtering = true;
	return table;
}

static void set_general(rocksdb::DBOptions *options)
{
	options->create_if_missing = true;
	options->create_missing_column_families = true;
	/* A damaged file must not take down the rest: with them, opening fails on any, and a compaction that meets one
	 * stops all work until the process ends. Without them each read that needs it says so. */
	options->paranoid_checks = false;
	options->max_open_files = 1000;
	options->max_file_opening_threads = 1;
	options->max_background_jobs = 2;
	options->max_subcompactions = 1;
	options->bytes_per_sync = MiB; /* so that the sync at a file's end finds little left */
	options->compaction_readahead_size = MiB;
	options->avoid_unnecessary_blocking_io = true; /* files are deleted in the background */
	options->max_manifest_file_size = 16 * MiB;
	options->info_log_level = rocksdb::ERROR_LEVEL;
	options->keep_log_file_num = 2;
	options->max_log_file_size = MiB;
	options->stats_dump_period_sec = 0;
	options->stats_persist_period_sec = 0;
	options->max_bgerror_resume_count = 0; /* pd_rocks_resume() */
}

/* What compaction does to sorted files that come in whole. RocksDB's own memtable is never used, nor its brakes. */
static void set_shape(rocksdb::ColumnFamilyOptions *options, unsigned trigger)
{
	options->write_buffer_size = 64 * 1024;
	options->arena_block_size = 8 * 1024;
	options->level0_file_num_compaction_trigger = trigger > 0 ? static_cast<int>(trigger) : 4;
	options->level0_slowdown_writes_trigger = 1 << 20;
	options->level0_stop_writes_trigger = 1 << 20;
	options->soft_pending_compaction_bytes_limit = 0;
	options->hard_pending_compaction_bytes_limit = 0;
	options->level_compaction_dynamic_level_bytes = true;
	options->target_file_size_base = 64 * MiB;
	options->max_bytes_for_level_base = 256 * MiB;
	options->ttl = 0;
	options->periodic_compaction_seconds = 0;
	options->compression = rocksdb::kLZ4Compression;
	options->bottommost_compression = rocksdb::kZSTD;
}

static std::shared_ptr<rocksdb::Cache> make_cache(size_t bytes)
{
	rocksdb::LRUCacheOptions options;

	options.capacity = bytes;
	options.num_shard_bits = 2;            /* one thread reads: shards are for compaction beside it */
	options.strict_capacity_limit = false; /* a get must not fail for it */
	options.high_pri_pool_ratio = 0.5;
	return rocksdb::NewLRUCache(options);
}

static rocksdb::Options make_options(const struct pd_rocks_options *wanted,
				     const std::shared_ptr<Listener> &listener,
				     const std::shared_ptr<rocksdb::Cache> &cache)
{
	rocksdb::Options options;

	set_general(&options);
	set_shape(&options, wanted->compaction_trigger);
	options.listeners.push_back(listener);
	if (wanted->compaction_bytes_per_s > 0)
		options.rate_limiter.reset(
			rocksdb::NewGenericRateLimiter(static_cast<int64_t>(wanted->compaction_bytes_per_s),
						       100 * 1000, 10, rocksdb::RateLimiter::Mode::kAllIo));
	options.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(PREFIX_SIZE));
	options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options(cache)));
	return options;
}

/* The family of the position: one key, so that its files stay a few hundred bytes and never count among those that a
 * get has to look at. */
static rocksdb::ColumnFamilyOptions applied_options(const std::shared_ptr<rocksdb::Cache> &cache)
{
	rocksdb::ColumnFamilyOptions options;
	rocksdb::BlockBasedTableOptions table;

	set_shape(&options, 8);
	options.compression = rocksdb::kNoCompression;
	options.bottommost_compression = rocksdb::kDisableCompressionOption;
	table.format_version = 5;
	table.checksum = rocksdb::kXXH3;
	table.block_cache = cache;
	options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
	return options;
}

/* ---- opening and closing ---- */

static Status open_db(struct pd_rocks *rocks, const char *directory)
{
	std::vector<rocksdb::ColumnFamilyDescriptor> families;
	std::vector<rocksdb::ColumnFamilyHandle *> handles;
	rocksdb::DB *db = nullptr;

	families.emplace_back(rocksdb::kDefaultColumnFamilyName, rocks->options);
	families.emplace_back(applied_family, applied_options(rocks->cache));
	Status status = rocksdb::DB::Open(rocks->options, directory, families, &handles, &db);
	if (!status.ok())
		return status;
	rocks->db.reset(db);
	rocks->data = handles[0];
	rocks->applied = handles[1];
	return status;
}

int pd_rocks_open(const struct pd_rocks_options *options, struct pd_rocks **ret_rocks, struct pd_error *err)
{
	return guarded(err, "opening", [&]() {
		owned<struct pd_rocks> rocks(make<struct pd_rocks>());

		rocks->cache = make_cache(options->cache_bytes);
		rocks->options = make_options(options, rocks->listener, rocks->cache);
		Status status = open_db(rocks.get(), options->directory);
		if (!status.ok())
			return fail(err, options->directory, status);
		rocksdb::Env *env = rocks->options.env;
		for (rocksdb::Env::Priority pool : { rocksdb::Env::LOW, rocksdb::Env::BOTTOM }) {
			(void)env->LowerThreadPoolCPUPriority(pool, rocksdb::CpuPriority::kLow);
			env->LowerThreadPoolIOPriority(pool);
		}
		rocks->get_options_plain.ignore_range_deletions = true;
		*ret_rocks = rocks.release();
		return 0;
	});
}

static Status close_db(struct pd_rocks *rocks)
{
	rocksdb::CancelAllBackgroundWork(rocks->db.get(), true);
	for (rocksdb::ColumnFamilyHandle *family : { rocks->data, rocks->applied })
		(void)rocks->db->DestroyColumnFamilyHandle(family);
	Status status = rocks->db->Close();
	rocks->db.reset();
	return status;
}

int pd_rocks_close(struct pd_rocks *rocks, struct pd_error *err)
{
	int result = guarded(err, "closing", [&]() {
		Status status = close_db(rocks);
		/* After an error in the background closing reports that same error again: nothing new, and nothing that
		 * was committed depends on it. */
		return status.ok() || rocks->listener->failed.load() ? 0 : fail(err, "closing", status);
	});

	destroy(rocks);
	return result;
}

void pd_rocks_cancel(struct pd_rocks *rocks)
{
	rocks->cancelled.store(true);
}

/* ---- reading ---- */

static struct pd_rocks_pin *take_pin(struct pd_rocks *rocks)
{
	struct pd_rocks_pin *pin = rocks->free_pins;

	if (pin != nullptr) {
		rocks->free_pins = pin->next;
		return pin;
	}
	pin = make<struct pd_rocks_pin>();
	pin->rocks = rocks;
	return pin;
}

void pd_rocks_pin_free(struct pd_rocks_pin *pin)
{
	pin->value.Reset();
	pin->next = pin->rocks->free_pins;
	pin->rocks->free_pins = pin;
}

int pd_rocks_get(struct pd_rocks *rocks, const void *key, size_t key_size, const void **ret_data,
		 size_t *ret_size, struct pd_rocks_pin **ret_pin, struct pd_error *err)
{
	return guarded(err, "reading", [&]() {
		struct pd_rocks_pin *pin = take_pin(rocks);
		Status status = rocks->db->Get(rocks->ranges.load(std::memory_order_relaxed)
						       ? rocks->get_options
						       : rocks->get_options_plain,
					       rocks->data, slice(key, key_size), &pin->value);

		if (!status.ok()) {
			pd_rocks_pin_free(pin);
			return status.IsNotFound() ? 0 : fail(err, "reading", status);
		}
		*ret_data = pin->value.data();
		*ret_size = pin->value.size();
		*ret_pin = pin;
		return 1;
	});
}

int pd_rocks_get_applied(struct pd_rocks *rocks, void *data, size_t capacity, size_t *ret_size,
			 struct pd_error *err)
{
	return guarded(err, "reading the position", [&]() {
		std::string value;
		Status status = rocks->db->Get(rocksdb::ReadOptions(), rocks->applied, applied_key, &value);

		if (status.IsNotFound())
			return 0;
		if (!status.ok())
			return fail(err, "reading the position", status);
		if (value.size() > capacity)
			return pd_error_set(err, PD_CORRUPT,
					    "RocksDB: the position has %zu bytes, not at most %zu",
					    value.size(), capacity);
		memcpy(data, value.data(), value.size());
		*ret_size = value.size();
		return 1;
	});
}

/* RocksDB 7.8 loses errors while it merges levels in which there are, or may be, range tombstones: a file that cannot be
 * read where a level goes on to it (https://github.com/facebook/rocksdb/pull/11782), or that is met before a tombstone
 * makes it seek (11785), is left out without a word, and with it the rest of its level. When it is told to ignore range
 * tombstones it goes another way, which reports every error.
 *
 * So it is told that there are none whenever there are none, which is almost always. When there may be some, a second
 * scan, which ignores them, goes over all the keys before the first one tells of any: what it could read was there to be
 * merged. Compaction is not concerned: it merges in yet another way. */
struct pd_rocks_iterator {
	std::string upper;
	rocksdb::Slice upper_slice;
	std::unique_ptr<rocksdb::Iterator> position;
	std::unique_ptr<rocksdb::Iterator> witness; /* none when there are no range tombstones */
	bool started = false;                       /* the entry that it stands on was told */

	/* Everything up to the position can be read. */
	Status prove()
	{
		if (!position->Valid() && !position->status().ok())
			return position->status();
		if (!witness)
			return Status::OK();
		while (witness->Valid() &&
		       (!position->Valid() || witness->key().compare(position->key()) < 0))
			witness->Next();
		return witness->status();
	}
};

static std::string version_of(const std::unique_ptr<rocksdb::Iterator> &iterator)
{
	std::string version;

	(void)iterator->GetProperty("rocksdb.iterator.super-version-number", &version);
	return version;
}

/* Both scans are of the same files; and files with range tombstones, which may have come while we looked, are not
 * mistaken for files without. */
static void begin_scan(struct pd_rocks *rocks, struct pd_rocks_iterator *iterator,
		       rocksdb::ReadOptions options)
{
	bool ranges, same;

	do {
		ranges = rocks->ranges.load();
		iterator->witness.reset();
		options.ignore_range_deletions = !ranges;
		iterator->position.reset(rocks->db->NewIterator(options, rocks->data));
		if (ranges) {
			options.ignore_range_deletions = true;
			iterator->witness.reset(rocks->db->NewIterator(options, rocks->data));
			same = version_of(iterator->witness) == version_of(iterator->position);
		} else {
			same = !rocks->ranges.load();
		}
	} while (!same);
}

int pd_rocks_iterator_new(struct pd_rocks *rocks, const void *from, size_t from_size, const void *to,
			  size_t to_size, bool same_prefix, struct pd_rocks_iterator **ret_iterator,
			  struct pd_error *err)
{
	return guarded(err, "seeking", [&]() {
		owned<struct pd_rocks_iterator> iterator(make<struct pd_rocks_iterator>());
		rocksdb::ReadOptions options;

		iterator->upper.assign(static_cast<const char *>(to), to_size);
		iterator->upper_slice = iterator->upper;
		options.iterate_upper_bound = &iterator->upper_slice;
		options.total_order_seek = !same_prefix;
		options.adaptive_readahead = true;
		options.background_purge_on_iterator_cleanup = true;
		begin_scan(rocks, iterator.get(), options);
		if (iterator->witness)
			iterator->witness->Seek(slice(from, from_size));
		iterator->position->Seek(slice(from, from_size));
		Status status = iterator->prove();
		if (!status.ok())
			return fail(err, "seeking", status);
		*ret_iterator = iterator.release();
		return 0;
	});
}

int pd_rocks_iterator_next(struct pd_rocks_iterator *iterator, const void **ret_key, size_t *ret_key_size,
			   const void **ret_value, size_t *ret_value_size, struct pd_error *err)
{
	return guarded(err, "reading on", [&]() {
		rocksdb::Iterator *position = iterator->position.get();

		if (iterator->started && position->Valid())
			position->Next();
		iterator->started = true;
		Status status = iterator->prove();
		if (!status.ok())
			return fail(err, "reading on", status);
		if (!position->Valid())
			return 0;
		*ret_key = position->key().data();
		*ret_key_size = position->key().size();
		*ret_value = position->value().data();
		*ret_value_size = position->value().size();
		return 1;
	});
}

void pd_rocks_iterator_free(struct pd_rocks_iterator *iterator)
{
	destroy(iterator);
}

/* ---- sorted files ---- */

struct pd_rocks_writer {
	std::unique_ptr<rocksdb::SstFileWriter> file;
	std::string path;
	uint64_t bytes = 0;
};

/* Their options are those of the family, but: written once and soon compacted, so fast compression; and no limit on
 * I/O, since somebody waits. */
static rocksdb::Options writer_options(struct pd_rocks *rocks, enum pd_rocks_file_kind kind)
{
	rocksdb::Options options(rocks->options);

	if (kind == PD_ROCKS_APPLIED)
		options = rocksdb::Options(rocks->options, applied_options(rocks->cache));
	options.bottommost_compression = rocksdb::kDisableCompressionOption;
	options.rate_limiter.reset();
	options.listeners.clear();
	return options;
}

int pd_rocks_writer_new(struct pd_rocks *rocks, const char *path, enum pd_rocks_file_kind kind,
			struct pd_rocks_writer **ret_writer, struct pd_error *err)
{
	return guarded(err, path, [&]() {
		owned<struct pd_rocks_writer> writer(make<struct pd_rocks_writer>());
		rocksdb::Options options = writer_options(rocks, kind);

		writer->path = path;
		/* false: what was written stays in the page cache; compaction is going to read it. */
		writer->file.reset(new rocksdb::SstFileWriter(
			rocksdb::EnvOptions(options), options,
			kind == PD_ROCKS_APPLIED ? rocks->applied : rocks->data, false));
		Status status = writer->file->Open(path);
		if (!status.ok())
			return fail(err, path, status);
		*ret_writer = writer.release();
		return 0;
	});
}

template <typename Work> static int write_one(struct pd_rocks_writer *writer, struct pd_error *err, Work work)
{
	return guarded(err, writer->path.c_str(), [&]() {
		Status status = work(writer->file.get());
		return status.ok() ? 0 : fail(err, writer->path.c_str(), status);
	});
}

int pd_rocks_writer_put(struct pd_rocks_writer *writer, const void *key, size_t key_size, const void *value,
			size_t value_size, struct pd_error *err)
{
	return write_one(writer, err, [&](rocksdb::SstFileWriter *file) {
		return file->Put(slice(key, key_size), slice(value, value_size));
	});
}

int pd_rocks_writer_delete(struct pd_rocks_writer *writer, const void *key, size_t key_size,
			   struct pd_error *err)
{
	return write_one(writer, err,
			 [&](rocksdb::SstFileWriter *file) { return file->Delete(slice(key, key_size)); });
}

int pd_rocks_writer_delete_range(struct pd_rocks_writer *writer, const void *from, size_t from_size,
				 const void *to, size_t to_size, struct pd_error *err)
{
	return write_one(writer, err, [&](rocksdb::SstFileWriter *file) {
		return file->DeleteRange(slice(from, from_size), slice(to, to_size));
	});
}

int pd_rocks_put_applied(struct pd_rocks_writer *writer, const void *data, size_t size, struct pd_error *err)
{
	return pd_rocks_writer_put(writer, applied_key, strlen(applied_key), data, size, err);
}

uint64_t pd_rocks_writer_bytes(const struct pd_rocks_writer *writer)
{
	return writer->file->FileSize();
}

int pd_rocks_writer_finish(struct pd_rocks_writer *writer, struct pd_error *err)
{
	return write_one(writer, err, [&](rocksdb::SstFileWriter *file) { return file->Finish(); });
}

void pd_rocks_writer_free(struct pd_rocks_writer *writer)
{
	destroy(writer);
}

void pd_rocks_set_ranges(struct pd_rocks *rocks, bool ranges)
{
	rocks->ranges.store(ranges);
}

/* Only compaction takes range tombstones away. Asking opens every file, once. */
bool pd_rocks_ranges(struct pd_rocks *rocks)
{
	uint64_t compactions = rocks->listener->compactions.load(), tombstones = 0;
	rocksdb::TablePropertiesCollection tables;

	if (!rocks->ranges.load() || rocks->looked_at == compactions)
		return rocks->ranges.load();
	int result = guarded(nullptr, "properties", [&]() {
		return code_of(rocks->db->GetPropertiesOfAllTables(rocks->data, &tables));
	});
	if (result != 0)
		return true;
	for (const auto &table : tables)
		tombstones += table.second->num_range_deletions;
	rocks->looked_at = compactions;
	rocks->ranges.store(tombstones > 0);
	return tombstones > 0;
}

int pd_rocks_ingest(struct pd_rocks *rocks, const char *const *paths, size_t count, const char *applied_path,
		    struct pd_error *err)
{
	return guarded(err, "taking over files", [&]() {
		std::vector<rocksdb::IngestExternalFileArg> files(count > 0 ? 2 : 1);
		rocksdb::IngestExternalFileOptions options;

		options.move_files = true;
		options.write_global_seqno = false;   /* a sorted file is never written again */
		options.snapshot_consistency = false; /* there are none */
		files[0].column_family = rocks->applied;
		files[0].external_files.emplace_back(applied_path);
		if (count > 0) {
			files[1].column_family = rocks->data;
			files[1].external_files.assign(paths, paths + count);
		}
		for (rocksdb::IngestExternalFileArg &file : files)
			file.options = options;
		Status status = rocks->db->IngestExternalFiles(files);
		return status.ok() ? 0 : fail(err, "taking over files", status);
	});
}

/* ---- upkeep ---- */

int pd_rocks_checkpoint(struct pd_rocks *rocks, const char *path, struct pd_error *err)
{
	return guarded(err, "checkpoint", [&]() {
		rocksdb::Checkpoint *checkpoint = nullptr;
		Status status = rocksdb::Checkpoint::Create(rocks->db.get(), &checkpoint);

		if (status.ok())
			status = checkpoint->CreateCheckpoint(path);
		delete checkpoint;
		return status.ok() ? 0 : fail(err, "checkpoint", status);
	});
}

int pd_rocks_compact(struct pd_rocks *rocks, const void *from, size_t from_size, const void *to,
		     size_t to_size, struct pd_error *err)
{
	return guarded(err, "compaction", [&]() {
		rocksdb::CompactRangeOptions options;
		rocksdb::Slice begin = slice(from, from_size), end = slice(to, to_size);

		options.exclusive_manual_compaction = false;
		options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
		options.canceled = &rocks->cancelled;
		Status status = rocks->db->CompactRange(
			options, rocks->data, from_size > 0 ? &begin : nullptr, to_size > 0 ? &end : nullptr);
		return status.ok() ? 0 : fail(err, "compaction", status);
	});
}

/* A compaction that has met damage would meet it again every second, for ever. */
void pd_rocks_stop_failing(struct pd_rocks *rocks)
{
	if (!rocks->listener->failed.load() || rocks->compactions_stopped.exchange(true))
		return;
	(void)guarded(nullptr, "stopping", [&]() {
		return code_of(
			rocks->db->SetOptions(rocks->data, { { "disable_auto_compactions", "true" } }));
	});
}

int pd_rocks_resume(struct pd_rocks *rocks, struct pd_error *err)
{
	return guarded(err, "resuming", [&]() {
		Status status = rocks->db->Resume();

		if (status.ok()) {
			rocks->listener->clear();
			if (rocks->compactions_stopped.exchange(false))
				status = rocks->db->EnableAutoCompaction({ rocks->data });
		}
		return status.ok() ? 0 : fail(err, "resuming", status);
	});
}

struct pd_rocks_files {
	std::vector<rocksdb::LiveFileMetaData> list;
	std::vector<std::string> paths;
};

int pd_rocks_files_new(struct pd_rocks *rocks, struct pd_rocks_files **ret_files, size_t *ret_count,
		       struct pd_error *err)
{
	return guarded(err, "listing files", [&]() {
		owned<struct pd_rocks_files> files(make<struct pd_rocks_files>());

		rocks->db->GetLiveFilesMetaData(&files->list);
		for (const rocksdb::LiveFileMetaData &file : files->list)
			files->paths.push_back(file.db_path + file.name);
		*ret_count = files->list.size();
		*ret_files = files.release();
		return 0;
	});
}

void pd_rocks_files_get(const struct pd_rocks_files *files, size_t index, struct pd_rocks_file *ret_file)
{
	const rocksdb::LiveFileMetaData &file = files->list[index];
	bool is_data = file.column_family_name == rocksdb::kDefaultColumnFamilyName;

	*ret_file = pd_rocks_file();
	ret_file->path = files->paths[index].c_str();
	ret_file->bytes = file.size;
	ret_file->level = file.level;
	if (is_data) {
		ret_file->smallest = file.smallestkey.data();
		ret_file->smallest_size = file.smallestkey.size();
		ret_file->largest = file.largestkey.data();
		ret_file->largest_size = file.largestkey.size();
	}
}

void pd_rocks_files_free(struct pd_rocks_files *files)
{
	destroy(files);
}

int pd_rocks_file_verify(struct pd_rocks *rocks, const char *path, struct pd_error *err)
{
	return guarded(err, path, [&]() {
		rocksdb::BlockBasedTableOptions table = table_options(nullptr);
		rocksdb::Options options(rocks->options);
		rocksdb::ReadOptions read;

		table.no_block_cache = true;
		table.cache_index_and_filter_blocks = false;
		options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
		options.listeners.clear();
		rocksdb::SstFileReader reader(options);
		read.readahead_size = MiB;
		Status status = reader.Open(path);
		if (status.ok())
			status = reader.VerifyChecksum(read);
		return status.ok() ? 0 : fail(err, path, status);
	});
}

void pd_rocks_set_cache_bytes(struct pd_rocks *rocks, size_t bytes)
{
	rocks->cache->SetCapacity(bytes);
}

static uint64_t property(struct pd_rocks *rocks, const std::string &name)
{
	uint64_t value = 0;

	return rocks->db->GetIntProperty(rocks->data, name, &value) ? value : 0;
}

static uint64_t files_at(struct pd_rocks *rocks, int level)
{
	std::string value;

	if (!rocks->db->GetProperty(rocks->data,
				    rocksdb::DB::Properties::kNumFilesAtLevelPrefix + std::to_string(level),
				    &value))
		return 0;
	return strtoull(value.c_str(), nullptr, 10);
}

void pd_rocks_stats_get(struct pd_rocks *rocks, struct pd_rocks_stats *ret_stats)
{
	*ret_stats = pd_rocks_stats();
	ret_stats->level0_files = files_at(rocks, 0);
	for (int level = 0; level < rocks->options.num_levels; level++)
		ret_stats->files += files_at(rocks, level);
	ret_stats->bytes = property(rocks, rocksdb::DB::Properties::kLiveSstFilesSize);
	ret_stats->pending_compaction_bytes = property(
		rocks, rocksdb::DB::Properties::kEstimatePendingCompactionBytes);
	ret_stats->running_compactions = property(rocks, rocksdb::DB::Properties::kNumRunningCompactions);
	ret_stats->cache_bytes = rocks->cache->GetUsage();
	ret_stats->memory_bytes = property(rocks, rocksdb::DB::Properties::kEstimateTableReadersMem) +
				  property(rocks, rocksdb::DB::Properties::kSizeAllMemTables);
	ret_stats->entries = property(rocks, rocksdb::DB::Properties::kEstimateNumKeys);
	rocks->listener->get(ret_stats);
}
