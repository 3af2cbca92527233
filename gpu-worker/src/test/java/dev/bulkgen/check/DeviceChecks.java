package dev.bulkgen.check;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.cli.DeviceCheck;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.junit.platform.engine.discovery.ClassNameFilter;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.ClassSource;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * Runs the tests of the CUDA backend outside of a build, one class after the other: kernels against
 * the Java oracle, then whole models against golden data. Needs no more than a driver.
 */
public final class DeviceChecks implements DeviceCheck {
  private static final String TESTED_PACKAGE = "dev.bulkgen.backend.cuda";
  private static final int SHOWN_FAILURES = 3;

  private final Launcher launcher = LauncherFactory.create();
  private final long begun = System.nanoTime();
  private Path folder;
  private double budgetSeconds;
  private PrintWriter out;
  private long passed;
  private long failed;
  private long skipped;

  @Override
  public boolean run(Path folder, double budgetSeconds, PrintWriter out) throws IOException {
    this.folder = folder;
    this.budgetSeconds = budgetSeconds;
    this.out = out;
    Files.createDirectories(folder);
    runAll();
    out.flush();
    return failed == 0;
  }

  private void runAll() throws IOException {
    List<String> leftOut = new ArrayList<>();
    for (String name : classes()) {
      if (seconds() < budgetSeconds) {
        run(name);
      } else {
        leftOut.add(name.substring(TESTED_PACKAGE.length() + 1));
      }
    }
    out.printf(
        Locale.ROOT,
        "%d passed, %d failed, %d skipped in %.0f s%n",
        passed,
        failed,
        skipped,
        seconds());
    if (!leftOut.isEmpty()) {
      out.println("left out, the time budget is spent: " + String.join(", ", leftOut));
    }
  }

  /** Kernels first, then whole models, then the rest; nothing that proves the stand-in alone. */
  private List<String> classes() {
    TestPlan plan =
        launcher.discover(
            LauncherDiscoveryRequestBuilder.request()
                .selectors(DiscoverySelectors.selectPackage(TESTED_PACKAGE))
                .filters(ClassNameFilter.includeClassNamePatterns(".*\\.Test[^.]*"))
                .build());
    List<String> names = new ArrayList<>();
    for (TestIdentifier root : plan.getRoots()) {
      for (TestIdentifier child : plan.getChildren(root)) {
        child
            .getSource()
            .filter(ClassSource.class::isInstance)
            .ifPresent(source -> names.add(((ClassSource) source).getClassName()));
      }
    }
    names.removeIf(name -> name.contains(".TestEmulated"));
    names.sort(Comparator.comparing(DeviceChecks::rank).thenComparing(name -> name));
    return names;
  }

  private static int rank(String name) {
    if (name.endsWith("Kernels")) {
      return 0;
    }
    return name.endsWith("Golden") ? 1 : 2;
  }

  private void run(String name) throws IOException {
    LauncherDiscoveryRequest request =
        LauncherDiscoveryRequestBuilder.request()
            .selectors(DiscoverySelectors.selectClass(name))
            .build();
    SummaryGeneratingListener listener = new SummaryGeneratingListener();
    double before = seconds();
    launcher.execute(request, listener);
    report(name, listener.getSummary(), seconds() - before);
  }

  private void report(String name, TestExecutionSummary summary, double seconds)
      throws IOException {
    long failures = summary.getTotalFailureCount();
    // A class that skips as a whole reports no test of its own.
    long skips =
        summary.getTestsSkippedCount()
            + summary.getTestsAbortedCount()
            + summary.getContainersAbortedCount();
    passed += summary.getTestsSucceededCount();
    failed += failures;
    skipped += skips;
    String shortName = name.substring(TESTED_PACKAGE.length() + 1);
    out.printf(
        Locale.ROOT,
        "%-4s %-32s %5d passed %4d failed %4d skipped %7.1f s%n",
        failures == 0 ? "ok" : "FAIL",
        shortName,
        summary.getTestsSucceededCount(),
        failures,
        skips,
        seconds);
    summary.getFailures().stream()
        .limit(SHOWN_FAILURES)
        .forEach(
            failure ->
                out.println(
                    "       "
                        + failure.getTestIdentifier().getDisplayName()
                        + ": "
                        + firstLine(failure.getException())));
    out.flush();
    if (failures > 0) {
      try (PrintWriter file =
          new PrintWriter(
              Files.newBufferedWriter(
                  folder.resolve("failures.txt"),
                  StandardOpenOption.CREATE,
                  StandardOpenOption.APPEND))) {
        summary.printFailuresTo(file, Integer.MAX_VALUE);
      }
    }
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("check", shortName);
    line.put("passed", summary.getTestsSucceededCount());
    line.put("failed", failures);
    line.put("skipped", skips);
    line.put("seconds", seconds);
    Files.writeString(
        folder.resolve("checks.jsonl"),
        new ObjectMapper().writeValueAsString(line) + "\n",
        StandardOpenOption.CREATE,
        StandardOpenOption.APPEND);
  }

  private static String firstLine(Throwable failure) {
    return String.valueOf(failure.getMessage()).lines().findFirst().orElse("");
  }

  private double seconds() {
    return (System.nanoTime() - begun) / 1e9;
  }
}
