package dev.bulkgen.spark.job;

import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** Says how far the job is: a line that is rewritten on a terminal, else one every ten seconds. */
final class ProgressReporter implements AutoCloseable {
  private static final long TERMINAL_MILLIS = 500;
  private static final long FILE_MILLIS = 10_000;
  private static final int BAR = 24;

  /**
   * A moment of the job.
   *
   * @param reusedRows done before this run
   * @param tokens that this run's engines did; empty as long as none has told
   */
  record State(
      long rows,
      long reusedRows,
      long plannedRows,
      int units,
      int plannedUnits,
      Optional<Long> tokens) {}

  private final JobConsole console;
  private final Supplier<State> states;
  private final long startNanos = System.nanoTime();
  private final ScheduledExecutorService clock;
  private int width;

  ProgressReporter(JobConsole console, Supplier<State> states) {
    this.console = console;
    this.states = states;
    this.clock =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "bulkgen-progress");
              thread.setDaemon(true);
              return thread;
            });
    long period = isTerminal() ? TERMINAL_MILLIS : FILE_MILLIS;
    clock.scheduleWithFixedDelay(this::show, period, period, TimeUnit.MILLISECONDS);
  }

  private boolean isTerminal() {
    return console.kind() == JobConsole.Kind.TERMINAL;
  }

  double seconds() {
    return (System.nanoTime() - startNanos) / 1e9;
  }

  private synchronized void show() {
    String line = line(states.get(), seconds());
    if (isTerminal()) {
      int padding = Math.max(0, width - line.length());
      console.progress().print("\r" + line + " ".repeat(padding));
      console.progress().flush();
      width = line.length();
    } else {
      console.progress().println(line);
    }
  }

  /** Tells something between two lines of progress. */
  synchronized void tell(String text) {
    if (isTerminal()) {
      console.progress().print("\r" + " ".repeat(width) + "\r");
      width = 0;
    }
    console.out().print(text);
    console.out().flush();
  }

  static String line(State state, double seconds) {
    double share = state.plannedRows() == 0 ? 1 : (double) state.rows() / state.plannedRows();
    int filled = (int) (share * BAR);
    StringBuilder line = new StringBuilder();
    line.append('[').append("#".repeat(filled)).append(".".repeat(BAR - filled)).append("] ");
    line.append(
        String.format(
            Locale.ROOT,
            "%,d/%,d rows  %,d/%,d units",
            state.rows(),
            state.plannedRows(),
            state.units(),
            state.plannedUnits()));
    state
        .tokens()
        .ifPresent(
            tokens ->
                line.append(String.format(Locale.ROOT, "  %,.0f tokens/s", tokens / seconds)));
    long fresh = state.rows() - state.reusedRows();
    if (fresh > 0 && state.rows() < state.plannedRows()) {
      double left = seconds * (state.plannedRows() - state.rows()) / fresh;
      line.append("  ETA ").append(Durations.clock((long) Math.ceil(left)));
    }
    return line.toString();
  }

  /** Shows the last state and gives the line back. */
  @Override
  public void close() {
    clock.shutdownNow();
    show();
    if (isTerminal()) {
      console.progress().println();
    }
  }
}
