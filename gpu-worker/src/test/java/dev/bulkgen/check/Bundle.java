package dev.bulkgen.check;

import dev.bulkgen.backend.cuda.CudaDriver;
import dev.bulkgen.cli.DoctorCommand;
import dev.bulkgen.cli.bench.BenchCommand;
import dev.bulkgen.error.BulkgenException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import picocli.CommandLine;

/**
 * What the check bundle's {@code run} starts: {@code probe}, {@code doctor}, {@code checks FOLDER
 * SECONDS} or {@code bench FOLDER SECONDS EXTENT}. Exit status 3 where there is no device.
 */
public final class Bundle {
  private static final int FAILED = 1;
  private static final int NO_DEVICE = 3;

  private Bundle() {}

  public static void main(String[] arguments) throws IOException {
    System.exit(run(arguments));
  }

  private static int run(String[] arguments) throws IOException {
    Optional<CudaDriver.Unavailable> unavailable = CudaDriver.probe();
    if (unavailable.isPresent()) {
      System.out.println("bulkgen: nothing can be checked here: " + unavailable.get().reason());
      return NO_DEVICE;
    }
    return switch (arguments[0]) {
      case "probe" -> 0;
      case "doctor" -> new CommandLine(new DoctorCommand()).execute();
      case "checks" -> checks(Path.of(arguments[1]), Double.parseDouble(arguments[2]));
      case "bench" -> bench(arguments[1], arguments[2], arguments[3]);
      default -> throw new IllegalArgumentException(arguments[0]);
    };
  }

  private static int checks(Path folder, double seconds) throws IOException {
    PrintWriter out = new PrintWriter(System.out, true);
    return new DeviceChecks().run(folder, seconds, out) ? 0 : FAILED;
  }

  private static int bench(String folder, String seconds, String extent) {
    List<String> options = new ArrayList<>();
    options.add("--backend=cuda");
    options.add("--time-budget=" + seconds);
    options.add("--json=" + Path.of(folder, "bench.jsonl"));
    if (extent.equals("tiny")) {
      options.add("--tiny");
      options.add("--seconds=0");
    }
    return new CommandLine(new BenchCommand())
        .setExecutionExceptionHandler(
            (e, command, result) -> {
              if (e instanceof BulkgenException) {
                System.out.println("FAIL " + e.getMessage());
                return FAILED;
              }
              throw e;
            })
        .execute(options.toArray(String[]::new));
  }
}
