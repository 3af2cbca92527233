package dev.bulkgen.spark.job;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;

/** HDFS of one name node and three data nodes, one of which is stopped while a job runs. */
class TestHdfsOutput extends AbstractTestRemoteOutput {
  @TempDir static Path disks;

  private static MiniDFSCluster cluster;

  @BeforeAll
  static void start() throws IOException {
    Configuration configuration = new Configuration();
    configuration.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, disks.toString());
    configuration.set("dfs.replication", "2");
    cluster = new MiniDFSCluster.Builder(configuration).numDataNodes(3).build();
    cluster.waitActive();
  }

  @AfterAll
  static void stop() {
    cluster.shutdown();
  }

  @Override
  String root() {
    return cluster.getURI() + "/";
  }

  @Override
  Map<String, String> settings() {
    return Map.of("dfs.replication", "2");
  }

  @Override
  void disturb() {
    cluster.stopDataNode(0);
  }
}
