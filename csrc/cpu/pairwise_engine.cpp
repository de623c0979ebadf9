#include "pairwise_engine.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>
#include <thread>
#include <utility>

namespace hashkernels {
namespace {

// Below this many multiply-adds, waking a thread costs more than it saves.
constexpr int64_t kSerialWork = 4'000'000;

// A bank is cut into so many tasks, if there is work enough in each to make up for the gradient that it leaves behind,
// and if all of those fit the bytes.
constexpr int64_t kBankTasks = 64;
constexpr int64_t kBankBytes = 32 << 20;
constexpr int64_t kBankRowTiles = 4;
constexpr int64_t kBankColumnTiles = 8;

// What two tasks must not touch at the same time: rows of the gradient, and sums. `turn` counts the tasks done with it.
struct alignas(64) Block {
  std::atomic<int64_t> turn{0};
  double sums[2] = {0, 0};
};

// Pairs of blocks in rounds, every block once a round (the circle method of round-robin tournaments): round 0 pairs
// each block with itself, and where the blocks are odd in number one of each later round meets the block that is not
// there.
class Tournament {
 public:
  explicit Tournament(int64_t num_blocks) : blocks_(num_blocks), even_(num_blocks + num_blocks % 2) {}

  int64_t num_tasks() const { return blocks_ == 1 ? 1 : blocks_ + (even_ - 1) * (even_ / 2); }

  struct Match {
    int64_t round, first, second;  // first <= second
  };
  Match match(int64_t task) const {
    if (task < blocks_) return {0, task, task};
    const int64_t round = (task - blocks_) / (even_ / 2), seat = (task - blocks_) % (even_ / 2);
    const int64_t circle = even_ - 1;
    const int64_t a = seat == 0 ? circle : (round + circle - seat) % circle, b = (round + seat) % circle;
    return {round + 1, std::min(a, b), std::max(a, b)};
  }

 private:
  int64_t blocks_, even_;
};

// Tasks start in the order of their numbers, so the one that is waited for runs already, or is done.
void wait_for_turn(const Block& block, int64_t turn) {
  while (block.turn.load(std::memory_order_acquire) != turn) std::this_thread::yield();
}

template <class T>
class Engine {
 public:
  Engine(const Pairs<T>& pairs, const PairParameters<T>& parameters) : pairs_(pairs), parameters_(parameters) {}

  Status run(double* sums, T* grad, int num_threads) noexcept {
    needs_rows_ = parameters_.function != PairFunction::kRelevance;
    if (needs_rows_ && !rows_.allocate(pairs_.u, pairs_.bits)) return Status::kOutOfMemory;
    const int64_t columns = pairs_.itself() ? pairs_.u.num_rows : pairs_.v.num_rows;
    const bool serial = pairs_.u.num_rows * columns < kSerialWork / std::max<int64_t>(pairs_.bits, 1);
    const int threads = serial ? 1 : std::max(num_threads, 1);
    sums[0] = sums[1] = 0;
    return pairs_.itself() ? run_itself(sums, grad, threads) : run_bank(sums, grad, threads);
  }

 private:
  // The tile of row tile `row` without its columns, and without places for gradients.
  PairwiseTile<T> row_tile(int64_t row) const {
    PairwiseTile<T> tile{};
    tile.bits = pairs_.bits;
    tile.padded_bits = padded_bits<T>(pairs_.bits);
    tile.num_planes = pairs_.labels.num_planes();
    tile.multi_hot = pairs_.labels.multi_hot();
    tile.num_rows = tile_count(pairs_.u.num_rows, row);
    tile.row_labels = pairs_.labels.row_tile(row);
    tile.grad_stride = gradients_.stride();
    if (needs_rows_) {
      tile.rows_transposed = rows_.transposed(row);
      tile.rows = rows_.row(row * kPairTile);
      tile.row_stride = rows_.stride();
    }
    return tile;
  }

  static int tile_count(int64_t items, int64_t tile) {
    return static_cast<int>(std::min<int64_t>(kPairTile, items - tile * kPairTile));
  }

  // For each row of a tile the column that makes no pair with it, or -1.
  struct LeftOut {
    typename PairLane<T>::Int lane[kPairTile];
  };

  static LeftOut each_itself() {
    LeftOut result;
    for (int row = 0; row < kPairTile; ++row) result.lane[row] = row;
    return result;
  }

  // False where the tile of a bank has no such column.
  bool find_left_out(int64_t row_tile, int64_t column_tile, int num_columns, LeftOut& out) const {
    if (pairs_.v.left_out == nullptr) return false;
    bool found = false;
    std::fill_n(out.lane, kPairTile, -1);
    for (int row = 0; row < tile_count(pairs_.u.num_rows, row_tile); ++row) {
      const int64_t column = pairs_.v.left_out[row_tile * kPairTile + row] - column_tile * kPairTile;
      if (column < 0 || column >= num_columns) continue;
      out.lane[row] = static_cast<typename PairLane<T>::Int>(column);
      found = true;
    }
    return found;
  }

  // Each unordered pair once. The slope of both its orders goes to both its rows.
  Status run_itself(double* sums, T* grad, int threads) noexcept {
    const int64_t tiles = num_pair_tiles(pairs_.u.num_rows);
    // Larger blocks reuse more of what they read, smaller ones leave work for more threads.
    const int64_t block_tiles = tiles <= 16 ? 1 : tiles <= 128 ? 2 : 4;
    const int64_t num_blocks = (tiles + block_tiles - 1) / block_tiles;
    const std::unique_ptr<Block[]> blocks(new (std::nothrow) Block[num_blocks]);
    if (blocks == nullptr || !gradients_.allocate(grad, pairs_.u.num_rows, pairs_.bits, 1)) return Status::kOutOfMemory;
    parameters_.positive_slope *= 2;
    parameters_.negative_slope *= 2;

    const Tournament tournament(num_blocks);
    const Status status = parallel_for(tiles == 0 ? 0 : tournament.num_tasks(), threads, [&](int64_t task, int) {
      const auto [round, first, second] = tournament.match(task);
      Block& block = blocks[first];
      wait_for_turn(block, round);
      if (second < num_blocks) {
        wait_for_turn(blocks[second], round);
        if (round == 0) {
          for (int64_t row = first * block_tiles; row < std::min(tiles, (first + 1) * block_tiles); ++row) {
            if (needs_rows_) rows_.prepare(row);
            gradients_.clear(0, row * kPairTile, tile_count(pairs_.u.num_rows, row));
          }
        }
        for (int64_t row = first * block_tiles; row < std::min(tiles, (first + 1) * block_tiles); ++row) {
          const int64_t begin = std::max(row, second * block_tiles), end = (second + 1) * block_tiles;
          for (int64_t column = begin; column < std::min(tiles, end); ++column) add_tile(row, column, block.sums);
        }
        if (second != first) blocks[second].turn.store(round + 1, std::memory_order_release);
      }
      block.turn.store(round + 1, std::memory_order_release);
    });
    for (int64_t b = 0; b < num_blocks; ++b) {
      sums[0] += blocks[b].sums[0];
      sums[1] += blocks[b].sums[1];
    }
    if (status == Status::kOk) gradients_.finish();
    return status;
  }

  void add_tile(int64_t row, int64_t column, double* sums) const {
    PairwiseTile<T> tile = row_tile(row);
    tile.num_columns = tile_count(pairs_.u.num_rows, column);
    tile.column_labels = pairs_.labels.column_tile(column);
    const bool diagonal = row == column;
    if (diagonal) tile.left_out = itself_.lane;
    tile.row_grad = gradients_.row(0, row * kPairTile);
    if (needs_rows_) {
      tile.columns = rows_.row(column * kPairTile);
      tile.column_stride = rows_.stride();
    }
    // A tile on the diagonal holds both orders of its pairs, and so does the gradient of its rows.
    if (!diagonal) tile.column_grad = gradients_.row(0, column * kPairTile);
    double tile_sums[2] = {0, 0};
    pairs_.kernel(tile, parameters_, tile_sums);
    const double orders = diagonal ? 1 : 2;
    sums[0] += orders * tile_sums[0];
    sums[1] += orders * tile_sums[1];
  }

  // A task is a group of row tiles against a group of column tiles; each column group has a gradient of its own.
  Status run_bank(double* sums, T* grad, int threads) noexcept {
    const int64_t row_tiles = num_pair_tiles(pairs_.u.num_rows), column_tiles = num_pair_tiles(pairs_.v.num_rows);
    const int64_t row_groups = (row_tiles + kBankRowTiles - 1) / kBankRowTiles;
    const int64_t width = padded_bits<T>(pairs_.bits);
    const int64_t gradient_bytes = std::max<int64_t>(pairs_.u.num_rows * width * sizeof(T), 1);
    const int64_t wanted = std::min(kBankTasks / std::max<int64_t>(row_groups, 1), kBankBytes / gradient_bytes);
    const int64_t column_groups = std::max<int64_t>(std::min(wanted, column_tiles / kBankColumnTiles), 1);
    const int64_t num_tasks = row_groups * column_groups;
    const int64_t workers = std::min<int64_t>(threads, num_tasks);

    const bool pad_columns = needs_rows_ && width != pairs_.bits;
    Buffer<T> padded;
    Buffer<double> task_sums(2 * num_tasks);
    if (!task_sums || !gradients_.allocate(grad, pairs_.u.num_rows, pairs_.bits, column_groups) ||
        (pad_columns && !padded.allocate(workers * kPairTile * width))) {
      return Status::kOutOfMemory;
    }

    for (int64_t row = 0; needs_rows_ && row < row_tiles; ++row) rows_.prepare(row);
    const Status status = parallel_for(num_tasks, threads, [&](int64_t task, int worker) {
      const int64_t row_group = task / column_groups, column_group = task % column_groups;
      double* const own_sums = task_sums.data() + 2 * task;
      own_sums[0] = own_sums[1] = 0;
      const int64_t first_row = row_group * kBankRowTiles * kPairTile;
      gradients_.clear(column_group, first_row,
                       std::min<int64_t>(kBankRowTiles * kPairTile, pairs_.u.num_rows - first_row));
      const int64_t last = column_tiles * (column_group + 1) / column_groups;
      for (int64_t column = column_tiles * column_group / column_groups; column < last; ++column) {
        const int num_columns = tile_count(pairs_.v.num_rows, column);
        const T* columns = pairs_.v.data + column * kPairTile * pairs_.v.stride;
        int64_t column_stride = pairs_.v.stride;
        if (pad_columns) {
          T* const copy = padded.data() + worker * kPairTile * width;
          copy_padded(pairs_.v, pairs_.bits, column * kPairTile, num_columns, copy);
          columns = copy;
          column_stride = width;
        }
        for (int64_t row = row_group * kBankRowTiles; row < std::min(row_tiles, (row_group + 1) * kBankRowTiles);
             ++row) {
          PairwiseTile<T> tile = row_tile(row);
          tile.num_columns = num_columns;
          tile.columns = columns;
          tile.column_stride = column_stride;
          tile.column_labels = pairs_.labels.column_tile(column);
          tile.row_grad = gradients_.row(column_group, row * kPairTile);
          LeftOut left_out;
          if (find_left_out(row, column, num_columns, left_out)) tile.left_out = left_out.lane;
          pairs_.kernel(tile, parameters_, own_sums);
        }
      }
    });
    if (status != Status::kOk) return status;
    for (int64_t task = 0; task < num_tasks; ++task) {
      sums[0] += task_sums[2 * task];
      sums[1] += task_sums[2 * task + 1];
    }
    gradients_.finish();
    return status;
  }

  const Pairs<T>& pairs_;
  PairParameters<T> parameters_;
  PairRows<T> rows_;
  PairGradients<T> gradients_;
  const LeftOut itself_ = each_itself();
  bool needs_rows_ = true;
};

}  // namespace

template <class T>
Status run_pairs(const Pairs<T>& pairs, const PairParameters<T>& parameters, double* sums, T* grad,
                 int num_threads) noexcept {
  return Engine<T>(pairs, parameters).run(sums, grad, num_threads);
}

template Status run_pairs<float>(const Pairs<float>&, const PairParameters<float>&, double*, float*, int) noexcept;
template Status run_pairs<double>(const Pairs<double>&, const PairParameters<double>&, double*, double*, int) noexcept;

}  // namespace hashkernels
