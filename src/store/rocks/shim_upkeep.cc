/* RocksDB's C++ behind shim.h: checkpoints, compaction on demand, going on after an error, figures. */
#include "store/rocks/shim_private.hh"

#include <algorithm>
#include <cstdlib>

#include <rocksdb/experimental.h>
#include <rocksdb/rate_limiter.h>
#include <rocksdb/utilities/checkpoint.h>

int pd_rocks_checkpoint(struct pd_rocks *rocks, const char *path, struct pd_error *err)
{
	return rocks_call(rocks, err, "checkpoint", [&]() {
		rocksdb::Checkpoint *checkpoint = nullptr;
		rocksdb::Status status = rocksdb::Checkpoint::Create(rocks->db.get(), &checkpoint);

		if (status.ok())
			status = checkpoint->CreateCheckpoint(path);
		delete checkpoint;
		return status.ok() ? 0 : rocks_fail(err, "checkpoint", status);
	});
}

int pd_rocks_compact(struct pd_rocks *rocks, const void *from, size_t from_size, const void *to,
		     size_t to_size, struct pd_error *err)
{
	return rocks_call(rocks, err, "compaction", [&]() {
		rocksdb::CompactRangeOptions options;
		rocksdb::Slice begin = rocks_slice(from, from_size), end = rocks_slice(to, to_size);

		options.exclusive_manual_compaction = false;
		options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
		options.canceled = &rocks->cancelled;
		rocksdb::Status status = rocks->db->CompactRange(
			options, rocks_family(rocks, from, from_size), from_size > 0 ? &begin : nullptr,
			to_size > 0 ? &end : nullptr);
		return status.ok() ? 0 : rocks_fail(err, "compaction", status);
	});
}

void pd_rocks_compact_soon(struct pd_rocks *rocks, const void *from, size_t from_size, const void *to,
			   size_t to_size)
{
	(void)rocks_call(rocks, nullptr, "suggesting compaction", [&]() {
		rocksdb::Slice begin = rocks_slice(from, from_size), end = rocks_slice(to, to_size);

		return rocks_code(rocksdb::experimental::SuggestCompactRange(
			rocks->db.get(), rocks_family(rocks, from, from_size), &begin, &end));
	});
}

/* ---- after an error in the background ---- */

/* A compaction that has met damage would meet it again every second, for ever. */
void pd_rocks_stop_failing(struct pd_rocks *rocks)
{
	if (!rocks->listener->failed.load() || rocks->compactions_stopped.exchange(true))
		return;
	(void)rocks_call(rocks, nullptr, "stopping compaction", [&]() {
		for (rocksdb::ColumnFamilyHandle *family : rocks->families)
			(void)rocks->db->SetOptions(family, { { "disable_auto_compactions", "true" } });
		return 0;
	});
}

/* What RocksDB can set right itself. */
static int resume_open(struct pd_rocks *rocks, struct pd_error *err)
{
	return rocks_call(rocks, err, "resuming", [&]() {
		rocksdb::Status status = rocks->db->Resume();

		if (!status.ok())
			return rocks_fail(err, "resuming", status);
		rocks->listener->clear();
		if (rocks->compactions_stopped.exchange(false))
			status = rocks->db->EnableAutoCompaction(
				{ std::begin(rocks->families), std::end(rocks->families) });
		return status.ok() ? 0 : rocks_fail(err, "resuming", status);
	});
}

/* An error that it holds to be final, as one in writing its manifest, ends with the object that has met it. */
static int reopen(struct pd_rocks *rocks, struct pd_error *err)
{
	return rocks_guarded(err, "opening again", [&]() {
		/* Whoever asks serves others: it comes again rather than wait. */
		std::unique_lock<std::shared_mutex> lock(rocks->gate, std::try_to_lock);

		if (!lock.owns_lock())
			return pd_error_set(err, PD_AGAIN, "%s: in use, cannot be opened again now",
					    rocks->directory.c_str());
		if (rocks->db)
			(void)rocks_close_db(rocks);
		rocksdb::Status status = rocks_open_db(rocks);
		if (!status.ok())
			return rocks_fail(err, rocks->directory.c_str(), status);
		rocks->listener->clear();
		rocks->compactions_stopped.store(false);
		return 0;
	});
}

int pd_rocks_resume(struct pd_rocks *rocks, struct pd_error *err)
{
	return resume_open(rocks, err) == 0 ? 0 : reopen(rocks, err);
}

/* ---- the limit of background I/O ---- */

uint64_t pd_rocks_pace(struct pd_rocks *rocks, uint64_t bytes)
{
	/* Of a limit that comes at this moment not too much is asked at once. */
	uint64_t part = std::min(
		{ bytes, static_cast<uint64_t>(rocks->rate->GetSingleBurstBytes()), UINT64_C(1024) * 1024 });

	rocks->rate->Request(static_cast<int64_t>(part), rocksdb::Env::IO_LOW, nullptr,
			     rocksdb::RateLimiter::OpType::kRead);
	return part;
}

/* ---- figures ---- */

void pd_rocks_set_cache_bytes(struct pd_rocks *rocks, size_t bytes)
{
	rocks->cache->SetCapacity(bytes);
}

/* ---- the rate ---- */

std::shared_ptr<rocksdb::RateLimiter> RocksRate::current() const
{
	std::lock_guard<std::mutex> guard(mutex);

	return limiter;
}

/* Whoever waits for the old limiter is let go. Of a rate so low that a tenth of a second of it is less than a byte, RocksDB would
 * make reads of none, which fail. */
void RocksRate::SetBytesPerSecond(int64_t bytes_per_s)
{
	const int64_t least = 64 * 1024;
	std::shared_ptr<rocksdb::RateLimiter> fresh, old;

	if (bytes_per_s > 0)
		fresh.reset(rocksdb::NewGenericRateLimiter(std::max(bytes_per_s, least), 100 * 1000, 10,
							   Mode::kAllIo));
	{
		std::lock_guard<std::mutex> guard(mutex);

		old = limiter;
		limiter = fresh;
	}
	if (old)
		old->SetBytesPerSecond(INT64_MAX);
}

/* What was cut to another limiter's measure, or to none, is cut again. */
void RocksRate::Request(const int64_t bytes, const rocksdb::Env::IOPriority priority,
			rocksdb::Statistics *statistics)
{
	std::shared_ptr<rocksdb::RateLimiter> now = current();

	for (int64_t left = bytes; now && left > 0;) {
		int64_t part = std::min(left, now->GetSingleBurstBytes());

		now->Request(part, priority, statistics);
		left -= part;
	}
}

int64_t RocksRate::GetSingleBurstBytes() const
{
	std::shared_ptr<rocksdb::RateLimiter> now = current();

	return now ? now->GetSingleBurstBytes() : INT64_MAX;
}

int64_t RocksRate::GetTotalBytesThrough(const rocksdb::Env::IOPriority priority) const
{
	std::shared_ptr<rocksdb::RateLimiter> now = current();

	return now ? now->GetTotalBytesThrough(priority) : 0;
}

int64_t RocksRate::GetTotalRequests(const rocksdb::Env::IOPriority priority) const
{
	std::shared_ptr<rocksdb::RateLimiter> now = current();

	return now ? now->GetTotalRequests(priority) : 0;
}

int64_t RocksRate::GetBytesPerSecond() const
{
	std::shared_ptr<rocksdb::RateLimiter> now = current();

	return now ? now->GetBytesPerSecond() : INT64_MAX;
}

void pd_rocks_set_compaction_rate(struct pd_rocks *rocks, uint64_t bytes_per_s)
{
	(void)rocks_guarded(nullptr, "changing the rate of compaction", [&]() {
		rocks->rate->SetBytesPerSecond(
			static_cast<int64_t>(std::min<uint64_t>(bytes_per_s, INT64_MAX)));
		return 0;
	});
}

static uint64_t property(struct pd_rocks *rocks, enum pd_rocks_family family, const std::string &name)
{
	uint64_t value = 0;

	return rocks->db->GetIntProperty(rocks->families[family], name, &value) ? value : 0;
}

static uint64_t files_at(struct pd_rocks *rocks, enum pd_rocks_family family, int level)
{
	std::string value;

	if (!rocks->db->GetProperty(rocks->families[family],
				    rocksdb::DB::Properties::kNumFilesAtLevelPrefix + std::to_string(level),
				    &value))
		return 0;
	return strtoull(value.c_str(), nullptr, 10);
}

static void add_figures(struct pd_rocks *rocks, enum pd_rocks_family family, struct pd_rocks_stats *stats)
{
	for (int level = 0; level < rocks->options.num_levels; level++)
		stats->files += files_at(rocks, family, level);
	stats->bytes += property(rocks, family, rocksdb::DB::Properties::kLiveSstFilesSize);
	stats->pending_compaction_bytes += property(rocks, family,
						    rocksdb::DB::Properties::kEstimatePendingCompactionBytes);
	stats->memory_bytes += property(rocks, family, rocksdb::DB::Properties::kEstimateTableReadersMem) +
			       property(rocks, family, rocksdb::DB::Properties::kSizeAllMemTables);
}

static void get_figures(struct pd_rocks *rocks, struct pd_rocks_stats *ret_stats)
{
	add_figures(rocks, PD_ROCKS_DATA, ret_stats);
	add_figures(rocks, PD_ROCKS_DERIVED, ret_stats);
	ret_stats->level0_files = std::max(files_at(rocks, PD_ROCKS_DATA, 0),
					   files_at(rocks, PD_ROCKS_DERIVED, 0));
	ret_stats->running_compactions = property(rocks, PD_ROCKS_DATA,
						  rocksdb::DB::Properties::kNumRunningCompactions);
	ret_stats->entries = property(rocks, PD_ROCKS_DATA, rocksdb::DB::Properties::kEstimateNumKeys);
}

void pd_rocks_stats_get(struct pd_rocks *rocks, struct pd_rocks_stats *ret_stats)
{
	*ret_stats = pd_rocks_stats();
	(void)rocks_call(rocks, nullptr, "figures", [&]() {
		get_figures(rocks, ret_stats);
		return 0;
	});
	ret_stats->cache_bytes = rocks->cache->GetUsage();
	rocks->listener->get(ret_stats);
	/* Closed by a resume that failed. */
	if (!rocks->db)
		ret_stats->failed = true;
}
