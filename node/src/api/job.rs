//! `job_*`: work that outlasts a call.

use super::NodeApi;
use larder_rpc::{
    Done, Job, JobLine, JobLogParams, JobMethods, JobParams, Page, PageParams, RpcError,
};

impl JobMethods for NodeApi {
    async fn job_list(&self, params: PageParams) -> Result<Page<Job>, RpcError> {
        Ok(Page::cut(self.jobs.list(), &params)?)
    }

    async fn job_get(&self, params: JobParams) -> Result<Job, RpcError> {
        self.jobs.get(&params.job)
    }

    async fn job_log(&self, params: JobLogParams) -> Result<Page<JobLine>, RpcError> {
        let page = PageParams {
            cursor: params.cursor,
            limit: params.limit,
        };
        Ok(Page::cut(self.jobs.log(&params.job)?, &page)?)
    }

    async fn job_cancel(&self, params: JobParams) -> Result<Done, RpcError> {
        self.jobs.cancel(&params.job)?;
        Ok(Done {})
    }
}
